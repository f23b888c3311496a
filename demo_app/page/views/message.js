// One message in the form: its role, its texts, its attachments, and what else it holds.

import { el } from "../lib/dom.js";
import { isObject } from "../lib/json.js";
import { describe, nameOf, previewOf } from "../model/attachments.js";
import { isAttachment, isText } from "../model/blocks.js";
import { area, blockEditor, shownBlock } from "./texts.js";

// The group "Message N". `edited()` is called after a change that the group shows already,
// `rebuilt(focus)` after one for which it must be made anew; `removed()` asks to take it away.
export function messageGroup(message, number, actions) {
  const name = `Message ${number}`;
  const remove = el(
    "button",
    {
      type: "button",
      class: "icon",
      "aria-label": `Remove message ${number}`,
      onclick: actions.removed,
    },
    "×",
  );
  const editable = isObject(message);
  const head = el(
    "div",
    { class: "message-head" },
    el("span", { class: "message-number", "aria-hidden": "true" }, String(number)),
    editable ? roleField(message, number, actions) : null,
    remove,
  );
  const held = editable ? contentFields(message, number, actions) : [shownBlock(message)];
  const role = editable && message.role === "assistant" ? "assistant" : "user";
  return el("div", { role: "group", "aria-label": name, class: `message ${role}` }, head, held);
}

function roleField(message, number, { rebuilt }) {
  const id = `role-${number}`;
  const roles = new Set(["user", "assistant", ...(message.role ? [String(message.role)] : [])]);
  const changed = () => {
    message.role = select.value;
    rebuilt(id);
  };
  const options = [...roles].map((role) => el("option", { value: role }, role));
  const properties = { id, "aria-label": `Role of message ${number}`, onchange: changed };
  const select = el("select", properties, options);
  select.value = String(message.role);
  return select;
}

function contentFields(message, number, actions) {
  const { content } = message;
  const label = `Text of message ${number}`;
  const id = `text-${number}`;
  if (Array.isArray(content)) return blockFields(message, number, actions);
  if (typeof content !== "string" && content !== undefined && content !== null) {
    return [shownBlock(content)];
  }
  const edited = (text) => {
    message.content = text;
    actions.edited();
  };
  return [area(id, label, content ?? "", edited, { placeholder: "Text" })];
}

function blockFields(message, number, actions) {
  const { content } = message;
  const fields = content.map((block) => [block, null]);
  let texts = 0;
  const fieldOf = (block, place) => {
    texts += 1;
    const first = texts === 1;
    const label = first ? `Text of message ${number}` : `Text ${texts}, message ${number}`;
    const id = first ? `text-${number}` : `text-${number}-${texts}`;
    const edited = blockEditor(content, block, { place, least: 1, changed: actions.edited });
    return area(id, label, block.text, edited, { placeholder: "Text" });
  };
  for (const [place, field] of fields.entries()) {
    const [block] = field;
    if (isText(block)) field[1] = fieldOf(block, place);
    else if (!isAttachment(block)) field[1] = shownBlock(block);
  }
  if (!texts) {
    const place = placeOfText(message);
    fields.splice(place, 0, [null, fieldOf({ type: "text", text: "" }, place)]);
  }
  return [...fields.map(([, field]) => field), attachmentList(message, number, actions)];
}

// Tool calls close an assistant's message; a user's results and images come before the text.
function placeOfText({ role, content }) {
  const call = content.findIndex((block) => block?.type === "tool_use");
  return role === "assistant" && call >= 0 ? call : content.length;
}

function attachmentList(message, number, { rebuilt }) {
  const attached = message.content.filter(isAttachment);
  if (!attached.length) return null;
  const remove = (block) => {
    const left = message.content.filter((each) => each !== block);
    message.content = left.length ? left : "";
    rebuilt(`text-${number}`);
  };
  const items = attached.map((block) => attachment(block, message.content, () => remove(block)));
  return el(
    "ul",
    { class: "attachments", "aria-label": `Attachments of message ${number}` },
    items,
  );
}

function attachment(block, content, removed) {
  const name = nameOf(block, content);
  const preview = previewOf(block);
  return el(
    "li",
    {},
    preview ? el("img", { src: preview, alt: "" }) : el("span", { class: "tag" }, block.type),
    el("span", { class: "attachment-name" }, name),
    el("span", { class: "note" }, describe(block)),
    el(
      "button",
      { type: "button", class: "icon", "aria-label": `Remove ${name}`, onclick: removed },
      "×",
    ),
  );
}
