// The API key: the demo's public one unless somebody enters another, for as long as the tab lives.

const STORED = "count_tokens_key";
const listeners = new Set();
let value = "";
let demoKey = null;
let judged = () => {};

export const key = {
  get value() {
    return value;
  },

  // Only this one may be written into a snippet.
  get isPublic() {
    return demoKey !== null && value === demoKey;
  },

  start(known) {
    demoKey = known;
    value = (sessionStorage.getItem(STORED) ?? known ?? "").trim();
  },

  enter(text) {
    value = text.trim();
    if (value) sessionStorage.setItem(STORED, value);
    else sessionStorage.removeItem(STORED);
    this.accepted();
    for (const listener of listeners) listener();
  },

  // The gateway's word on this key, for `listenToJudgement`.
  refused(message) {
    judged(message);
  },

  accepted() {
    judged(null);
  },

  listen(listener) {
    listeners.add(listener);
  },

  // Have `show(problem)` called for each word of the gateway's on the key, null where it took it.
  listenToJudgement(show) {
    judged = show;
  },
};
