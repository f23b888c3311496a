// "Where the tokens go": runs a breakdown, shows how far it is, and can be stopped.

import { byId, el, number, plural, say, setText } from "../lib/dom.js";
import { breakdown, isAbort } from "../model/api.js";
import { key } from "../model/key.js";
import { models } from "../model/models.js";
import { groupsOf, partsOf } from "../model/parts.js";
import { copyOf, request } from "../model/request.js";
import { stackedBar } from "./parts_bar.js";
import { partsTable } from "./parts_table.js";
import { upstreamBadge } from "./providers.js";

const select = byId("breakdown-model");
const start = byId("break-down");
const running = byId("breakdown-running");
const result = byId("breakdown-result");
let controller = null;

export function startBreakdown() {
  start.addEventListener("click", run);
  byId("stop").addEventListener("click", stop);
  document.addEventListener("keydown", (event) => event.key === "Escape" && stop());
  models.listen(showModels);
  request.listen(() => {
    if (!result.hidden && !controller) status("The request has changed since");
  });
}

const status = (text) => setText(byId("breakdown-status"), text);

// The model stays what was picked, unless nothing was: then it is the first that is counted.
function showModels() {
  const picked = select.dataset.picked;
  const options = models.all.map(({ id }) => el("option", { value: id }, id));
  select.replaceChildren(...options);
  select.value = picked ?? models.first;
  select.onchange = () => {
    select.dataset.picked = select.value;
  };
}

function stop() {
  controller?.abort();
}

async function run() {
  const problem = whyNot();
  say(byId("breakdown-problem"), problem);
  if (problem) return;
  const model = select.value;
  const body = copyOf(request.body);
  controller = new AbortController();
  working(true);
  try {
    const found = await follow(request.textFor(model), controller.signal);
    show(found, body, model);
    status(`Took apart ${plural(found.input_tokens, "token")}`);
  } catch (error) {
    status(isAbort(error) ? "Stopped" : "Failed");
    if (!isAbort(error)) say(byId("breakdown-problem"), words(error));
  } finally {
    controller = null;
    working(false);
  }
}

function whyNot() {
  if (!key.value) return "Enter an API key above first.";
  return request.valid ? null : "The request is not valid JSON, so there is nothing to take apart.";
}

const words = ({ status: code, message }) => (code ? `${code}: ${message}` : message);

async function follow(text, signal) {
  for await (const line of breakdown(text, signal)) {
    if (line.error) throw line.error;
    if (line.breakdown) return line.breakdown;
    progress(line.done, line.total);
  }
  throw new Error("The gateway ended its answer before there was a breakdown.");
}

function working(is) {
  const focused = document.activeElement === (is ? start : byId("stop"));
  start.hidden = is;
  running.hidden = !is;
  if (is) {
    status("Counting the parts…");
    progress(0, null);
  }
  if (focused) (is ? byId("stop") : start).focus();
}

function progress(done, total) {
  const bar = byId("breakdown-progress");
  bar.style.setProperty("--share", total ? done / total : 0);
  setText(byId("breakdown-done"), total ? `${number(done)} of ${number(total)}` : "");
  if (total === null) return bar.removeAttribute("aria-valuenow");
  bar.setAttribute("aria-valuemax", total);
  return bar.setAttribute("aria-valuenow", done);
}

function show(found, body, model) {
  const groups = groupsOf(partsOf(found, body));
  const { upstream } = models.all.find(({ id }) => id === model) ?? {};
  const head = el("p", { class: "whole" }, [
    el("strong", {}, number(found.input_tokens)),
    ` ${found.input_tokens === 1 ? "token" : "tokens"} for `,
    el("code", {}, model),
    " ",
    upstreamBadge(upstream),
  ]);
  const table = el(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of parts" },
    partsTable(groups, found.input_tokens),
  );
  result.replaceChildren(head, ...stackedBar(groups, found.input_tokens), table);
  result.hidden = false;
  byId("breakdown-intro").hidden = true;
}
