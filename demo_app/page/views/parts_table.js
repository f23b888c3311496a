// The table "Parts" of a breakdown: a group of rows for each kind, with its sum above its parts.

import { el, number } from "../lib/dom.js";
import { isWhole, kindClass, labelOf, share } from "./parts_bar.js";

const COLUMNS = { Part: "", Tokens: "number", Share: "number" };

export function partsTable(groups, total) {
  const largest = Math.max(1, ...groups.flatMap(({ parts }) => parts.map((part) => part.tokens)));
  const headers = Object.entries(COLUMNS).map(([name, kind]) =>
    el("th", { role: "columnheader", scope: "col", class: kind }, name),
  );
  return el(
    "table",
    { class: "table parts", role: "table", "aria-label": "Parts" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, headers)),
    groups.map((group) => rowsOf(group, total, largest)),
    el("tfoot", { role: "rowgroup" }, row("Whole request", total, share(total, total))),
  );
}

// The group's own row, and one for each part unless there is but one, as for the system.
function rowsOf(group, total, largest) {
  const [part] = group.parts;
  const label = [
    el("span", { class: `swatch ${kindClass(group.kind)}` }),
    el("span", { class: "group-name" }, labelOf(group)),
    isWhole(group) ? reasonOf(part) : "",
  ];
  const sum = group.tokens === null ? "–" : share(group.tokens, total);
  const parts = isWhole(group) ? [] : group.parts;
  return el(
    "tbody",
    { role: "rowgroup" },
    row(label, group.tokens, sum, { class: "group", scope: "rowgroup" }),
    parts.map((each) => partRow(each, total, largest)),
  );
}

function partRow(part, total, largest) {
  const name = el("span", { class: "part-name" }, part.name);
  const detail = part.detail && el("span", { class: "part-detail" }, part.detail);
  const shown = part.tokens === null ? "–" : shareOf(part, total, largest);
  return row([name, " ", detail, reasonOf(part)], part.tokens, shown, { class: "part" });
}

function row(head, tokens, shareShown, { scope = "row", ...properties } = {}) {
  return el("tr", { role: "row", ...properties }, [
    el("th", { role: "rowheader", scope }, head),
    el(
      "td",
      { role: "cell", class: "number tokens" },
      tokens === null ? "not countable" : number(tokens),
    ),
    el("td", { role: "cell", class: "number share" }, shareShown),
  ]);
}

function reasonOf({ tokens, reason }) {
  return tokens === null && reason ? el("span", { class: "row-problem" }, reason) : "";
}

function shareOf(part, total, largest) {
  const fill = el("span", { class: `fill ${kindClass(part.kind)}` });
  fill.style.setProperty("--share", Math.min(1, Math.max(0, part.tokens / largest)));
  return [el("span", { class: "track small" }, fill), el("span", {}, share(part.tokens, total))];
}
