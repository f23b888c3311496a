// The examples to begin with, each fetched anew when it is chosen.

import { byId, el, say } from "../lib/dom.js";
import { giveName } from "../model/attachments.js";
import { isAttachment } from "../model/blocks.js";
import { request } from "../model/request.js";
import { fetchSample, SAMPLES } from "../samples/samples.js";

const select = byId("example");
let controller = null; // of the example that is on its way

// Resolves when the first example is there, or cannot be had.
export function startExamples() {
  select.replaceChildren(...Object.keys(SAMPLES).map((title) => el("option", {}, title)));
  select.addEventListener("change", choose);
  byId("reset").addEventListener("click", choose);
  request.listen(stop); // who edits the request meanwhile wants that, and not the example
  return choose();
}

async function choose() {
  stop();
  controller = new AbortController();
  busy(true);
  const { signal } = controller;
  const title = select.value;
  let body;
  try {
    body = await fetchSample(title, signal);
  } catch (error) {
    if (!signal.aborted) fail(title, error);
    return;
  }
  nameAttachment(body, SAMPLES[title].attachment);
  request.replace(body, "example");
}

function stop() {
  controller?.abort();
  controller = null;
  busy(false);
  say(byId("example-problem"), "");
}

const busy = (is) => byId("request").setAttribute("aria-busy", String(is));

function fail(title, { message }) {
  stop();
  const words = `The example “${title}” could not be loaded (${message}); does the gateway still run?`;
  say(byId("example-problem"), words);
}

function nameAttachment({ messages }, name) {
  if (name) giveName(messages[0].content.find(isAttachment), name);
}
