// Text areas for what the API takes as a string or as a list of blocks, edited in place: blocks and
// fields that are not shown stay where they are.

import { el } from "../lib/dom.js";
import { compact, isObject } from "../lib/json.js";
import { isText } from "../model/blocks.js";

// A text area that grows with its text.
export function area(id, label, text, edited, properties = {}) {
  const rows = (value) => Math.min(12, Math.max(1, value.split("\n").length));
  const element = el("textarea", {
    id,
    "aria-label": label,
    value: text,
    spellcheck: "false",
    ...properties,
    rows: rows(text),
    oninput: () => {
      element.rows = rows(element.value);
      edited(element.value);
    },
  });
  return element;
}

// What a text area for a block does with a text: an empty block, which the API refuses, leaves the
// list (unless it has more to it, or is among the last so many) and comes back to its place.
export function blockEditor(list, block, { place = list.length, least = 0, changed }) {
  let home = place;
  return (text) => {
    const at = list.indexOf(block);
    block.text = text;
    if (at < 0) list.splice(Math.min(home, list.length), 0, block);
    else if (text === "" && list.length > least && hasOnlyText(block)) {
      home = at;
      list.splice(at, 1);
    }
    changed();
  };
}

function hasOnlyText(block) {
  return Object.keys(block).every((name) => name === "type" || name === "text");
}

// A block that the form only shows: what it is, and the beginning of what it holds.
export function shownBlock(block) {
  const type = isObject(block) && typeof block.type === "string" ? block.type : "not a block";
  const holds = el("code", { class: "block-holds" }, summary(block).slice(0, 400));
  return el("div", { class: "block" }, el("span", { class: "tag" }, type), holds);
}

function summary(block) {
  if (block?.type === "tool_use") return `${block.name} ${compact(block.input) ?? ""}`;
  if (block?.type === "tool_result") return flat(block.content);
  if (block?.type === "thinking") return String(block.thinking);
  return compact(block);
}

function flat(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return compact(content) ?? "";
  return content.map((each) => (isText(each) ? each.text : `[${each?.type}]`)).join(" ");
}
