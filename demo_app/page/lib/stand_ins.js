// Strings that are too long for a text area to show: a short one stands in for each of them.

import { number } from "./dom.js";

const LONGEST = 500_000; // characters; a text area needs seconds to lay out some millions

const hidden = new Map(); // by stand-in

// The stand-in for a long string; whatever else it is given, it gives back.
export function shorten(value) {
  if (typeof value !== "string" || value.length <= LONGEST) return value;
  const known = [...hidden].find(([, text]) => text === value);
  if (known) return known[0];
  const name = `(${number(value.length)} characters, too many to show: ${hidden.size + 1})`;
  hidden.set(name, value);
  return name;
}

// The other way round.
export const restore = (value) => hidden.get(value) ?? value;

export const hasLong = (text) =>
  hidden.size > 0 && [...hidden.keys()].some((name) => text.includes(name));
