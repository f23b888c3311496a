// The gateway's last requests, as they come. The connection is renewed whenever it is lost.

import { byId, el, number, setText } from "../lib/dom.js";
import { ApiError, events, isAbort } from "../model/api.js";
import { key } from "../model/key.js";
import { milliseconds } from "./counts.js";
import { providerName, upstreamBadge } from "./providers.js";

const MOST = 50;
const SILENCE = 40_000; // ms; the gateway says something every 15 s
const LONGEST_WAIT = 30_000;

const rows = byId("live-table").tBodies[0];
const seen = new Set(); // of the events that are shown
let controller = null;

export function startLive() {
  key.listen(connect);
  // A hidden page gives its connection up: a browser has only six for one gateway.
  document.addEventListener("visibilitychange", connect);
  connect();
}

function connect() {
  controller?.abort();
  controller = null;
  if (!key.value) return say("Waits for an API key");
  if (document.hidden) return say("Paused");
  controller = new AbortController();
  return stay(controller.signal);
}

async function stay(signal) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      await follow(signal, () => {
        failures = 0;
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        say("Not connected: the key was refused");
        return;
      }
    }
    if (signal.aborted) return;
    const wait = Math.min(LONGEST_WAIT, 1000 * 2 ** failures);
    say(`Connection lost, next try in ${Math.round(wait / 1000)} s`);
    await pause(wait, signal);
  }
}

async function follow(signal, connected) {
  const silence = new AbortController();
  let timer = null;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
    say("Connected");
    connected();
  };
  try {
    for await (const event of events(AbortSignal.any([signal, silence.signal]), heard)) show(event);
  } catch (error) {
    if (!isAbort(error) || signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const say = (text) => setText(byId("live-status"), text);

// The gateway sends its last events at each connection; after a restart its ids begin anew.
function show(event) {
  const name = `${event.id} ${event.at}`;
  if (seen.has(name)) return;
  seen.add(name);
  byId("live-empty").hidden = true;
  rows.prepend(rowOf(event, name));
  while (rows.children.length > MOST) {
    seen.delete(rows.lastChild.dataset.event);
    rows.lastChild.remove();
  }
}

function rowOf(event, name) {
  const at = new Date(event.at * 1000);
  const failed = event.status >= 400;
  const status = el("span", { class: `status ${failed ? "bad" : "good"}` }, String(event.status));
  return el("tr", { role: "row", class: "fresh", "data-event": name }, [
    cell("time", el("time", { datetime: at.toISOString() }, at.toLocaleTimeString("en-GB"))),
    cell("caller", event.caller ?? "–", event.end_user ? ` (${event.end_user})` : ""),
    cell("model-name", event.model ?? "–"),
    cell("provider", providerName(event.provider)),
    cell("outcome", status, failed && event.error ? ` ${event.error}` : ""),
    cell("number tokens", event.input_tokens === null ? "–" : number(event.input_tokens)),
    cell("source", event.source ?? "", " ", upstreamBadge(event.upstream)),
    cell("number latency in-gateway", milliseconds(event.duration_ms)),
  ]);
}

const cell = (name, ...held) => el("td", { role: "cell", class: name }, ...held);
