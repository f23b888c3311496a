// The request as raw JSON. While its text cannot be read, the request stays what it was.

import { byId, say, setText } from "../lib/dom.js";
import { compact, isObject, parse, pretty } from "../lib/json.js";
import { hasLong, restore, shorten } from "../lib/stand_ins.js";
import { request } from "../model/request.js";

const panel = byId("panel-raw");
const text = byId("raw");
let stale = true;

export function startRaw() {
  text.addEventListener("input", edited);
  request.listen((origin) => {
    if (origin === "raw") return;
    stale = true;
    showRaw();
  });
}

// Write the text anew where it can be seen and is behind.
export function showRaw() {
  if (panel.hidden || !stale || request.problems.raw) return;
  stale = false;
  text.value = pretty(request.body, shorten);
  describe(null);
}

function edited() {
  const [body, problem] = read(text.value);
  stale = false;
  if (problem) request.refuse("raw", problem);
  else request.replace(body, "raw");
  describe(problem);
}

function read(written) {
  try {
    const body = parse(written, restore);
    compact(body); // what cannot be written out again cannot be sent
    return isObject(body) ? [body, null] : [null, "The body must be a JSON object, as { … }."];
  } catch (error) {
    if (error instanceof RangeError) return [null, "This JSON is nested too deeply."];
    return [null, `This is not valid JSON: ${error.message}.`];
  }
}

function describe(problem) {
  say(byId("raw-problem"), problem && `${problem} Nothing is sent.`);
  text.setAttribute("aria-invalid", String(problem !== null));
  const notes = [];
  if (typeof request.body.model === "string") notes.push("Its model gives way to each chosen one.");
  if (hasLong(text.value)) notes.push("What is too long to show is sent all the same.");
  setText(byId("raw-note"), problem ? "" : notes.join(" "));
}
