// Elements, made without HTML: whatever is given as a child string becomes text.

export const byId = (id) => document.getElementById(id);

// An element with properties (`class`, `aria-…`, `data-…` and other attributes; functions under
// `onclick` and the like) and children. Null and false ones are left out.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

// Say something in an element that is there only while it has something to say.
export function say(element, text) {
  const words = text ?? "";
  if (element.textContent !== words) element.textContent = words;
  element.hidden = words === "";
}

// Change a text only where it differs, so that a live region does not repeat itself.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const grouped = new Intl.NumberFormat("en");
export const number = (value) => grouped.format(value);
export const plural = (count, one, many = `${one}s`) =>
  `${number(count)} ${count === 1 ? one : many}`;

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
