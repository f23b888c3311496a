// The stacked bar of a breakdown, its text alternative and its legend.

import { el, number, plural } from "../lib/dom.js";
import { sumsOf } from "../model/parts.js";

export function share(tokens, total) {
  if (!total) return "–";
  const percent = (100 * tokens) / total;
  if (percent > 0 && percent < 0.05) return "< 0.1 %";
  return `${percent.toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

export const kindClass = (kind) => `kind-${kind.split(" ")[0]}`;

export function stackedBar(parts, total) {
  const segments = parts.filter((part) => part.tokens > 0).map((part) => segment(part, total));
  const sums = sumsOf(parts);
  const words = sums.map((sum) => [labelOf(sum), ...figuresOf(sum, total)].join(" "));
  const label = `${plural(total, "token")}: ${words.join(", ")}`;
  return [
    el("div", { class: "stacked", role: "img", "aria-label": label }, segments),
    el(
      "ul",
      { class: "legend", "aria-label": "Tokens by kind" },
      sums.map((sum) => legendOf(sum, total)),
    ),
  ];
}

function segment(part, total) {
  const title = `${part.name}: ${number(part.tokens)} (${share(part.tokens, total)})`;
  const element = el("div", { class: `segment ${kindClass(part.kind)}`, title });
  element.style.setProperty("--tokens", part.tokens);
  return element;
}

function legendOf(sum, total) {
  const [tokens, ...more] = figuresOf(sum, total);
  return el("li", {}, [
    el("span", { class: `swatch ${kindClass(sum.kind)}` }),
    el("span", {}, labelOf(sum)),
    el("strong", {}, tokens),
    el("span", { class: "note" }, more.join(" ")),
  ]);
}

function figuresOf({ tokens, count, uncounted }, total) {
  if (uncounted === count) return ["not countable"];
  const rest = uncounted ? [`and ${number(uncounted)} not countable`] : [];
  return [number(tokens), `(${share(tokens, total)})`, ...rest];
}

function labelOf({ kind, count }) {
  return kind === "system" || kind === "overhead" ? kind : plural(count, kind);
}
