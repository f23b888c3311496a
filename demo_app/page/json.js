// JSON that survives a round trip: a number that JavaScript would round keeps its digits.

const raw = typeof JSON.rawJSON === "function" ? JSON.rawJSON : null;

function exact(_key, value, context) {
  if (typeof value !== "number" || !raw || !context) return value;
  return String(value) === context.source ? value : raw(context.source);
}

export const parse = (text) => JSON.parse(text, exact);
export const compact = (value) => JSON.stringify(value);
export const pretty = (value) => JSON.stringify(value, null, 2);
export const isRaw = (value) => raw !== null && JSON.isRawJSON(value);
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRaw(value);

// The bytes of a text in UTF-8, without encoding it where it is large.
export function byteLength(text) {
  return text.length > 4_000_000 ? text.length : new TextEncoder().encode(text).length;
}
