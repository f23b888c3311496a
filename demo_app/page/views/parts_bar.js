// The stacked bar of a breakdown, its text alternative and its legend. All are in the table's order:
// parts of one kind lie side by side, so that the bar shows the kind's share, while the order of the
// request would cut it into stripes.

import { el, number, plural } from "../lib/dom.js";

export function share(tokens, total) {
  if (!total) return "–";
  const percent = (100 * tokens) / total;
  if (percent > 0 && percent < 0.05) return "< 0.1 %";
  return `${percent.toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

export const kindClass = (kind) => `kind-${kind.split(" ")[0]}`;

export function labelOf({ kind, parts }) {
  return isWhole({ kind }) ? kind : plural(parts.length, kind);
}

// Whether a kind has one part, which is the whole group.
export const isWhole = ({ kind }) => kind === "system" || kind === "overhead";

export function stackedBar(groups, total) {
  const parts = groups.flatMap((group) => group.parts).filter((part) => part.tokens > 0);
  const words = groups.map((group) => [labelOf(group), ...figuresOf(group, total)].join(" "));
  const label = `${plural(total, "token")}: ${words.join(", ")}`;
  return [
    el(
      "div",
      { class: "stacked", role: "img", "aria-label": label },
      parts.map((part) => segment(part, total)),
    ),
    el(
      "ul",
      { class: "legend", "aria-label": "Tokens by kind" },
      groups.map((group) => legendOf(group, total)),
    ),
  ];
}

function segment(part, total) {
  const title = `${part.name}: ${number(part.tokens)} (${share(part.tokens, total)})`;
  const element = el("div", { class: `segment ${kindClass(part.kind)}`, title });
  element.style.setProperty("--tokens", part.tokens);
  return element;
}

function legendOf(group, total) {
  const [tokens, ...more] = figuresOf(group, total);
  return el("li", {}, [
    el("span", { class: `swatch ${kindClass(group.kind)}` }),
    el("span", {}, labelOf(group)),
    el("strong", {}, tokens),
    el("span", { class: "note" }, more.join(" ")),
  ]);
}

function figuresOf({ tokens, uncounted }, total) {
  if (tokens === null) return ["not countable"];
  const rest = uncounted ? [`and ${number(uncounted)} not countable`] : [];
  return [number(tokens), `(${share(tokens, total)})`, ...rest];
}
