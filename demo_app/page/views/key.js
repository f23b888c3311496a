// The key's field, with a note on whose key it is and the gateway's word on it.

import { byId, say, setText } from "../lib/dom.js";
import { key } from "../model/key.js";

const input = byId("key");

// `known` is the demo's public key, or null.
export function startKey(known) {
  key.start(known);
  input.value = key.value;
  input.addEventListener("input", () => key.enter(input.value));
  key.listen(describe);
  key.listenToJudgement(judge);
  describe();
}

function describe() {
  input.classList.toggle("secret", key.value !== "" && !key.isPublic);
  setText(byId("key-note"), note());
  byId("key-note").classList.toggle("asks", key.value === "");
}

function judge(problem) {
  if (problem === null) input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
  say(byId("key-error"), problem);
}

function note() {
  if (key.isPublic) return "The demo’s public key.";
  if (key.value) return "Kept in this tab only.";
  return "Enter a key of this gateway to count.";
}
