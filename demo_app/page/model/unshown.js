// The fields of a request that the form has no control for. It keeps them, and they are sent.

import { isObject } from "../lib/json.js";
import { isAttachment, isText } from "./blocks.js";

const TOP = ["model", "system", "tools", "messages"];
const IN_BLOCK = ["type", "text", "source", "title"];
const IN_MESSAGE = ["role", "content"];

// Their names, `{top, inner}`: those of the body, and those of its messages and editable blocks.
export function unshownFields({ system, messages, ...rest }) {
  const inner = new Set();
  const addOf = (held, shown) => {
    for (const name of Object.keys(held)) if (!shown.includes(name)) inner.add(name);
  };
  const addOfBlocks = (content) => {
    for (const block of Array.isArray(content) ? content : []) {
      if (isText(block) || isAttachment(block)) addOf(block, IN_BLOCK);
    }
  };
  addOfBlocks(system);
  for (const message of Array.isArray(messages) ? messages.filter(isObject) : []) {
    addOf(message, IN_MESSAGE);
    addOfBlocks(message.content);
  }
  return { top: Object.keys(rest).filter((name) => !TOP.includes(name)), inner: [...inner] };
}
