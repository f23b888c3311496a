// Starts the page: each module has its part of it, and listens to the request, the key, the models.
//
// Imports point down: `views` draw what `model` holds, and `lib` knows nothing of counting; `samples`
// are beside the model.

import { byId, setText } from "./lib/dom.js";
import { makeTabs } from "./lib/tabs.js";
import { info } from "./model/api.js";
import { startAnswer } from "./views/answer.js";
import { startBreakdown } from "./views/breakdown.js";
import { startCounts } from "./views/counts.js";
import { startExamples } from "./views/examples.js";
import { startFiles } from "./views/files.js";
import { showForm, startForm } from "./views/form.js";
import { startKey } from "./views/key.js";
import { startLive } from "./views/live.js";
import { startModels } from "./views/models.js";
import { showRaw, startRaw } from "./views/raw.js";
import { startSize } from "./views/request_size.js";
import { startSnippets } from "./views/snippets.js";
import { startTotal } from "./views/total.js";
import { showUpstreams } from "./views/upstreams.js";

async function start() {
  startForm();
  startRaw();
  startFiles();
  startSize();
  makeTabs(byId("request-tabs"), showPanel);
  startCounts();
  startTotal();
  startAnswer();
  startBreakdown();
  const exampleLoaded = startExamples();
  try {
    const about = await info();
    await exampleLoaded; // before the first count, which is of it
    showUpstreams(about.upstreams);
    setText(byId("version"), `count_tokens_mw ${about.version}`);
    startKey(about.key);
    startModels(about);
  } catch (error) {
    setText(byId("upstreams-note"), `${error.message} Reload the page to try again.`);
    startKey(null);
  }
  startSnippets();
  startLive();
}

function showPanel(tab) {
  for (const panel of [byId("panel-form"), byId("panel-raw")]) {
    panel.hidden = panel.id !== tab.getAttribute("aria-controls");
  }
  showForm();
  showRaw();
}

await start();
