// The running total: the count of the first chosen model, which stays in sight above the form where
// the counts lie below it. It is no live region, because the status of the counts is one.

import { byId, plural, setText } from "../lib/dom.js";
import { counter } from "../model/counter.js";

export function startTotal() {
  counter.listen(([row], reason) => show(row, reason));
}

function show(row, reason) {
  const { result = null, error = null, state = "stopped" } = row ?? {};
  byId("total").className = `total ${state}`;
  setText(byId("total-model"), row?.model ?? "No model is chosen");
  setText(byId("total-tokens"), result ? plural(result.tokens, "token") : "");
  setText(byId("total-state"), reason && row ? "Not counted" : wordsOn(state, error));
  byId("total-state").classList.toggle("bad", state === "failed");
}

function wordsOn(state, error) {
  if (state === "waiting") return "Counting…";
  if (state === "failed") return error.status ? `Failed: ${error.status}` : "Failed";
  return "";
}
