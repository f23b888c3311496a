// The request as raw JSON. While its text cannot be read, the request stays what it was.

import { byId, say, setText } from "./dom.js";
import { isObject, parse, pretty } from "./json.js";
import { request } from "./request.js";

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
  text.value = pretty(request.body);
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
    const body = parse(written);
    return isObject(body) ? [body, null] : [null, "The body must be a JSON object, as { … }."];
  } catch (error) {
    return [null, `This is not valid JSON: ${error.message}.`];
  }
}

function describe(problem) {
  say(byId("raw-problem"), problem && `${problem} Nothing is sent.`);
  text.setAttribute("aria-invalid", String(problem !== null));
  const named = !problem && typeof request.body.model === "string";
  setText(byId("raw-note"), named ? "Its model gives way to each of those chosen below." : "");
}
