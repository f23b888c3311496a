// The API key: the demo's public one unless somebody enters another, for as long as the tab lives.

import { byId, say, setText } from "../lib/dom.js";

const STORED = "count_tokens_key";
const listeners = new Set();
const input = byId("key");
let demoKey = null;

export const key = {
  get value() {
    return input.value.trim();
  },

  // Only this one may be written into a snippet.
  get isPublic() {
    return demoKey !== null && this.value === demoKey;
  },

  start(known) {
    demoKey = known;
    input.value = sessionStorage.getItem(STORED) ?? known ?? "";
    input.addEventListener("input", changed);
    describe();
  },

  // The gateway's word on this key, beside its field.
  refused(message) {
    input.setAttribute("aria-invalid", "true");
    say(byId("key-error"), message);
  },

  accepted() {
    input.removeAttribute("aria-invalid");
    say(byId("key-error"), "");
  },

  listen(listener) {
    listeners.add(listener);
  },
};

function changed() {
  if (key.value) sessionStorage.setItem(STORED, key.value);
  else sessionStorage.removeItem(STORED);
  key.accepted();
  describe();
  for (const listener of listeners) listener();
}

function describe() {
  input.classList.toggle("secret", key.value !== "" && !key.isPublic);
  setText(byId("key-note"), note());
  byId("key-note").classList.toggle("asks", key.value === "");
}

function note() {
  if (key.isPublic) return "The demo’s public key.";
  if (key.value) return "Kept in this tab only.";
  return "Enter a key of this gateway to count.";
}
