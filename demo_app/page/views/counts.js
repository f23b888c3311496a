// The table of counts. Its rows stay in place while their numbers change.

import { byId, el, number, plural, setText } from "../lib/dom.js";
import { countAgain, counter } from "../model/counter.js";
import { providerName, upstreamBadge } from "./providers.js";

const table = byId("counts-table");
const body = table.tBodies[0];
const shown = new Map(); // the row of each model

export function startCounts() {
  counter.listen(showCounts);
  counter.start();
  byId("again").addEventListener("click", countAgain);
}

function showCounts(rows, reason) {
  setText(byId("counts-status"), reason ?? stateOf(rows));
  byId("counts-status").classList.toggle("asks", reason !== null);
  byId("again").hidden = !rows.some((row) => row.state === "failed");
  table.hidden = !rows.length;
  byId("counts-note").hidden = !rows.length;
  byId("counts-empty").hidden = rows.length > 0;
  const largest = Math.max(1, ...rows.map((row) => row.result?.tokens ?? 0));
  for (const id of shown.keys()) {
    if (!rows.some((row) => row.model === id)) shown.delete(id);
  }
  const elements = rows.map((row) => update(row, largest));
  if (elements.some((element, index) => body.children[index] !== element)) {
    body.replaceChildren(...elements);
  }
  while (body.children.length > elements.length) body.lastChild.remove();
}

function stateOf(rows) {
  if (!rows.length) return "No model is chosen";
  if (rows.some((row) => row.state === "waiting")) return "Counting…";
  const failed = rows.filter((row) => row.state === "failed").length;
  return failed ? `${failed} of ${rows.length} failed` : `Counted ${plural(rows.length, "model")}`;
}

function update(row, largest) {
  if (!shown.has(row.model)) shown.set(row.model, rowFor(row.model));
  const element = shown.get(row.model);
  element.className = row.state;
  element.setAttribute("aria-busy", String(row.state === "waiting"));
  if (row.error) showError(element, row.error);
  else showCount(element, row.result, largest);
  return element;
}

function rowFor(model) {
  const name = el("th", { role: "rowheader", scope: "row", class: "model-name" }, model);
  const fill = el("div", { class: "fill" });
  return el("tr", { role: "row" }, [
    name,
    cell("compared", el("div", { class: "track" }, fill)),
    cell("number tokens"),
    cell("provider"),
    cell("source"),
    cell("number latency in-gateway"),
    cell("number latency in-browser"),
  ]);
}

const cell = (name, ...held) => el("td", { role: "cell", class: name }, ...held);

function showCount(element, result, largest) {
  const [, compared, tokens, provider, source, ...latencies] = element.cells;
  const fill = compared.querySelector(".fill") ?? freshFill(compared);
  fill.style.setProperty("--share", result ? result.tokens / largest : 0);
  fill.classList.toggle("emulated", result?.upstream === "emulated");
  setText(tokens, result ? number(result.tokens) : "…");
  setText(provider, result?.provider ? providerName(result.provider) : "");
  source.replaceChildren(...(result ? sourceOf(result) : []));
  showLatencies(latencies, result);
}

function freshFill(compared) {
  const fill = el("div", { class: "fill" });
  compared.replaceChildren(el("div", { class: "track" }, fill));
  return fill;
}

function showError(element, error) {
  const [, compared, tokens, provider, source, ...latencies] = element.cells;
  const status = error.status ? el("span", { class: "status bad" }, String(error.status)) : null;
  compared.replaceChildren(el("p", { class: "row-problem" }, status ?? "", " ", error.message));
  setText(tokens, "–");
  setText(provider, error.provider ? providerName(error.provider) : "");
  source.replaceChildren(...sourceOf(error));
  showLatencies(latencies, error);
}

// The same names as the columns': the gateway's own time, and the browser's round trip.
function showLatencies([inGateway, inBrowser], outcome) {
  setText(inGateway, milliseconds(outcome?.gatewayMs));
  setText(inBrowser, milliseconds(outcome?.browserMs));
}

function sourceOf({ source, upstream }) {
  return [source ?? "", " ", upstreamBadge(upstream)];
}

export function milliseconds(ms) {
  if (ms === undefined || ms === null) return "–";
  return `${number(ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms))} ms`;
}
