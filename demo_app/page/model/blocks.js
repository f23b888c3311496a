// The kinds of content blocks that the page tells from others.

import { isObject } from "../lib/json.js";

export const isText = (block) =>
  isObject(block) && block.type === "text" && typeof block.text === "string";

export const isAttachment = (block) =>
  isObject(block) && (block.type === "image" || block.type === "document");
