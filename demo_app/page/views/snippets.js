// "Call it yourself": the call for the current request, to copy; a large body is a file beside it.

import { copyFrom } from "../lib/clipboard.js";
import { byId, setText, size } from "../lib/dom.js";
import { byteLength } from "../lib/json.js";
import { makeTabs } from "../lib/tabs.js";
import { base } from "../model/api.js";
import { CALLS } from "../model/calls.js";
import { key } from "../model/key.js";
import { models } from "../model/models.js";
import { request } from "../model/request.js";

const MOST = 20_000; // bytes of a body that are written into the call
const FILE = "request.json";
const KINDS = { "tab-curl": "curl", "tab-httpx": "httpx", "tab-sdk": "sdk" };

let kind = "curl";
let timer = null;

export function startSnippets() {
  makeTabs(byId("call-tabs"), (tab) => {
    kind = KINDS[tab.id];
    byId("call-panel").setAttribute("aria-labelledby", tab.id);
    show();
  });
  byId("copy").addEventListener("click", copy);
  byId("download").addEventListener("click", download);
  for (const source of [request, key, models]) source.listen(soon);
}

// Not at each stroke of a key: the text may be long.
function soon() {
  setText(byId("call-status"), "");
  clearTimeout(timer);
  timer = setTimeout(show, 100);
}

function show() {
  const bytes = byteLength(request.textFor(models.first));
  const file = bytes > MOST ? FILE : null;
  byId("download").hidden = file === null;
  setText(byId("call-note"), note(file, bytes));
  setText(byId("call-text"), call(file));
}

function call(file) {
  const where = base.href.replace(/\/$/, "");
  const body = request.bodyFor(models.first);
  return CALLS[kind]({ body, where, key: key.isPublic ? key.value : null, file });
}

function note(file, bytes) {
  const notes = [];
  if (!request.valid) notes.push("Of the last request that was valid.");
  if (file)
    notes.push(`The body has ${size(bytes)}: download it, and call from the same directory.`);
  if (!key.isPublic) notes.push("Put your key into the environment variable GATEWAY_KEY.");
  return notes.join(" ");
}

async function copy() {
  clearTimeout(timer);
  show();
  setText(byId("call-status"), await copyFrom(byId("call-text")));
}

function download() {
  const url = URL.createObjectURL(
    new Blob([request.textFor(models.first)], { type: "application/json" }),
  );
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: FILE });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
