// Starts the page: each module has its part of it, and listens to the request, the key, the models.

import { info } from "./api.js";
import { startBreakdown } from "./breakdown.js";
import { startCounter } from "./counter.js";
import { showCounts } from "./counts.js";
import { byId, setText } from "./dom.js";
import { startExamples } from "./examples.js";
import { startFiles } from "./files.js";
import { showForm, startForm } from "./form.js";
import { key } from "./key.js";
import { startLive } from "./live.js";
import { models } from "./models.js";
import { showRaw, startRaw } from "./raw.js";
import { startSize } from "./request_size.js";
import { startSnippets } from "./snippets.js";
import { makeTabs } from "./tabs.js";
import { showUpstreams } from "./upstreams.js";

async function start() {
  startForm();
  startRaw();
  startFiles();
  startSize();
  makeTabs(byId("request-tabs"), showPanel);
  startCounter(showCounts);
  startBreakdown();
  startExamples();
  try {
    const about = await info();
    showUpstreams(about.upstreams);
    setText(byId("version"), `count_tokens_mw ${about.version}`);
    key.start(about.key);
    models.start(about);
  } catch (error) {
    setText(byId("upstreams-note"), `${error.message} Reload the page to try again.`);
    key.start(null);
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
