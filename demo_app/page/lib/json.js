// JSON that survives a round trip: a number that JavaScript would round keeps its digits.

const raw = typeof JSON.rawJSON === "function" ? JSON.rawJSON : null;

function exact(value, context) {
  if (typeof value !== "number" || !raw || !context) return value;
  return String(value) === context.source ? value : raw(context.source);
}

// A value from its text, each part of it through `changed`, and back.
export function parse(text, changed = (value) => value) {
  return JSON.parse(text, (_key, value, context) => changed(exact(value, context)));
}

export function pretty(value, changed = (each) => each) {
  return JSON.stringify(value, (_key, each) => changed(each), 2);
}

export const compact = (value) => JSON.stringify(value);
export const isRaw = (value) => raw !== null && JSON.isRawJSON(value);
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRaw(value);

// The bytes of a text in UTF-8, without encoding it where it is large.
export function byteLength(text) {
  return text.length > 4_000_000 ? text.length : new TextEncoder().encode(text).length;
}
