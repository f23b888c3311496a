// The gateway's answer to the last count of the model that "Call it yourself" is for, as `curl -i`
// prints it: the status, all headers that the browser lets a page see, and the body.

import { copyFrom } from "../lib/clipboard.js";
import { byId, setText } from "../lib/dom.js";
import { parse, pretty } from "../lib/json.js";
import { counter } from "../model/counter.js";

const MOST = 20_000; // characters of a body, which a proxy's page may exceed

const status = byId("answer-status");
const text = byId("answer-text");
let shown = null; // the answer in the text

export function startAnswer() {
  counter.listen(([row]) => show(row));
  byId("copy-answer").addEventListener("click", copy);
}

function show(row) {
  const { answer = null } = row?.result ?? row?.error ?? {};
  setText(byId("answer-note"), noteOn(row, answer));
  if (answer === shown) return; // a selection in it lasts
  shown = answer;
  for (const element of [status, text, byId("copy-answer")]) element.hidden = answer === null;
  setText(status, answer ? String(answer.status) : "");
  status.className = `status ${answer?.status < 400 ? "good" : "bad"}`;
  setText(text, answer ? written(answer) : "");
}

function noteOn(row, answer) {
  if (!row) return "Choose a model, and the answer to its count appears here.";
  if (!answer) return row.error ? `There was none: ${row.error.message}` : "Not counted yet.";
  const of = row.state === "waiting" || row.state === "stopped" ? "the last count" : "the count";
  return `To ${of} of ${row.model}, by this page.`;
}

function written({ status: code, statusText, headers, text: body }) {
  const head = [`HTTP ${code} ${statusText}`.trim(), ...headers.map((pair) => pair.join(": "))];
  return `${head.join("\n")}\n\n${readable(body)}`;
}

function readable(body) {
  try {
    return pretty(parse(body));
  } catch {
    return body.length > MOST ? `${body.slice(0, MOST)}…` : body;
  }
}

async function copy() {
  setText(byId("call-status"), await copyFrom(text));
}
