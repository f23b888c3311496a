// Counts of the request for each chosen model: as it changes, each by itself, and only the newest.

import { count, isAbort } from "./api.js";
import { key } from "./key.js";
import { models } from "./models.js";
import { request } from "./request.js";

const PAUSE = 300; // ms without a change, before the gateway is asked

const rows = new Map(); // by model: {model, state, result, error, controller}
const listeners = new Set();
let timer = null;

export const counter = {
  start() {
    request.listen(countAgain);
    key.listen(countAgain);
    models.listen(chosen);
  },

  // Call `listener(rows, reason)` at each change: `reason` says why nothing is counted, or is null.
  listen(listener) {
    listeners.add(listener);
  },
};

function chosen() {
  const ids = new Set(models.chosen);
  for (const [id, row] of rows) {
    if (!ids.has(id)) forget(id, row);
  }
  const fresh = [...ids].filter((id) => !rows.has(id));
  const waits = reason() === null;
  for (const id of fresh) rows.set(id, { model: id, state: waits ? "waiting" : "stopped" });
  if (timer === null && waits) begin(fresh);
  tell();
}

function forget(id, row) {
  row.controller?.abort();
  rows.delete(id);
}

// Every answer that is still to come is of an older request from now on.
export function countAgain() {
  clearTimeout(timer);
  timer = null;
  const waits = reason() === null;
  for (const row of rows.values()) {
    row.controller?.abort();
    row.controller = null;
    row.state = waits ? "waiting" : "stopped";
  }
  if (waits) timer = setTimeout(pauseOver, PAUSE);
  tell();
}

function pauseOver() {
  timer = null;
  begin([...rows.keys()]);
}

function begin(ids) {
  for (const [id, payload] of request.payloads(ids)) ask(rows.get(id), payload);
}

async function ask(row, payload) {
  const controller = new AbortController();
  row.controller = controller;
  row.state = "waiting";
  const outcome = await outcomeOf(payload, controller.signal);
  if (row.controller !== controller || outcome === null) return;
  Object.assign(row, { controller: null, result: null, error: null }, outcome);
  tell();
}

async function outcomeOf(payload, signal) {
  try {
    return { state: "counted", result: await count(payload, signal) };
  } catch (error) {
    if (isAbort(error)) return null;
    return { state: "failed", error };
  }
}

function reason() {
  if (!key.value) return "Enter an API key above to count.";
  const [origin] = Object.keys(request.problems);
  if (origin === "raw") return "Nothing is sent: the request body is not a valid JSON object.";
  if (origin) return "Nothing is sent: the tools are not a valid JSON list.";
  return null;
}

function tell() {
  const shown = models.chosen.filter((id) => rows.has(id)).map((id) => rows.get(id));
  for (const listener of listeners) listener(shown, reason());
}
