// The table "Parts" of a breakdown. It sorts the parts; what is within a part stays under it.

import { el, number } from "../lib/dom.js";
import { kindClass, share } from "./parts_bar.js";

const byName = new Intl.Collator("en", { numeric: true }).compare;
const byTokens = (one, other) => one.tokens - other.tokens;

// Of numbers one wants to see the largest first.
const COLUMNS = {
  Part: { compare: (one, other) => byName(one.name, other.name), first: "ascending" },
  Kind: { compare: (one, other) => byName(one.kind, other.kind), first: "ascending" },
  Tokens: { compare: byTokens, first: "descending", number: true },
  Share: { compare: byTokens, first: "descending", number: true },
};

export function partsTable(parts, total) {
  const body = el("tbody", { role: "rowgroup" });
  const headers = Object.keys(COLUMNS).map((name) => headerOf(name, () => sortBy(name)));
  const largest = Math.max(1, ...parts.map((part) => part.tokens ?? 0));

  function sortBy(name) {
    const { compare, first } = COLUMNS[name];
    const header = headers[Object.keys(COLUMNS).indexOf(name)];
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = header.getAttribute("aria-sort") === first ? other : first;
    for (const each of headers)
      each.setAttribute("aria-sort", each === header ? direction : "none");
    const sign = direction === "ascending" ? 1 : -1;
    const last = (part) => (compare === byTokens && part.tokens === null ? 1 : 0);
    const order = (one, two) => last(one) - last(two) || sign * compare(one, two);
    show(parts.toSorted(order));
  }

  function show(sorted) {
    body.replaceChildren(...sorted.flatMap((part) => rowsOf(part, total, largest)));
  }

  show(parts);
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, headers));
  const properties = { class: "table parts", role: "table", "aria-label": "Parts" };
  return el("table", properties, head, body, footOf(total));
}

function headerOf(name, chosen) {
  const button = el("button", { type: "button", class: "sort", onclick: chosen }, name);
  const properties = { role: "columnheader", scope: "col", "aria-sort": "none" };
  return el("th", { ...properties, class: COLUMNS[name].number ? "number" : "" }, button);
}

function rowsOf(part, total, largest) {
  const within = part.within.map((inner) => rowOf(inner, total, largest, "within"));
  return [rowOf(part, total, largest, ""), ...within];
}

function rowOf(part, total, largest, place) {
  const counted = part.tokens !== null;
  const name = el("span", { class: "part-name" }, part.name);
  const detail = part.detail && el("span", { class: "part-detail" }, part.detail);
  const kind = [el("span", { class: `swatch ${kindClass(part.kind)}` }), part.kind];
  return el("tr", { role: "row", class: place }, [
    el("th", { role: "rowheader", scope: "row" }, name, " ", detail || "", reasonOf(part)),
    el("td", { role: "cell", class: "kind" }, kind),
    el(
      "td",
      { role: "cell", class: "number tokens" },
      counted ? number(part.tokens) : "not countable",
    ),
    el(
      "td",
      { role: "cell", class: "number share" },
      counted ? shareOf(part, total, largest) : "–",
    ),
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

function footOf(total) {
  const row = el("tr", { role: "row" }, [
    el("th", { role: "rowheader", scope: "row" }, "Whole request"),
    el("td", { role: "cell" }),
    el("td", { role: "cell", class: "number tokens" }, number(total)),
    el("td", { role: "cell", class: "number share" }, share(total, total)),
  ]);
  return el("tfoot", { role: "rowgroup" }, row);
}
