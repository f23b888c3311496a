// Which models are counted: those that the gateway names, and others that somebody adds.

import { byId, el, providerName } from "../lib/dom.js";

const group = byId("models");
const listeners = new Set();
const known = new Map(); // by id: {id, provider, upstream, countable, chosen}

export const models = {
  get all() {
    return [...known.values()];
  },

  // The ids of those that are chosen, in the order in which they are shown.
  get chosen() {
    return this.all.filter((model) => model.chosen).map((model) => model.id);
  },

  // What a call is shown for: the first chosen one, or else the first that can be counted.
  get first() {
    return this.chosen[0] ?? this.all.find((model) => model.countable)?.id ?? "claude-3-5-sonnet";
  },

  start({ models: configured, upstreams }) {
    for (const model of configured) {
      known.set(model.id, { ...model, upstream: upstreams[model.provider], chosen: false });
    }
    for (const id of firstOf("claude", 3).concat(firstOf("gemini", 2))) known.get(id).chosen = true;
    group.replaceChildren(...this.all.map(choice));
    byId("other-model").addEventListener("submit", added);
    tell();
  },

  listen(listener) {
    listeners.add(listener);
  },
};

function firstOf(family, most) {
  const ids = models.all.filter((model) => model.countable).map((model) => model.id);
  return ids.filter((id) => id.includes(family)).slice(0, most);
}

function choice(model, index) {
  const id = `model-${index}`;
  const chosen = () => {
    model.chosen = box.checked;
    tell();
  };
  const box = el("input", {
    type: "checkbox",
    id,
    "aria-describedby": `${id}-note`,
    onchange: chosen,
  });
  box.checked = model.chosen;
  const note = model.countable === false ? "no counting API" : providerName(model.provider);
  return el(
    "div",
    { class: "model" },
    box,
    el("label", { for: id }, model.id),
    el("span", { id: `${id}-note`, class: "note" }, model.provider ? note : "added"),
  );
}

function added(event) {
  event.preventDefault();
  const input = byId("other");
  const id = input.value.trim();
  if (!id) return input.focus();
  if (!known.has(id)) {
    known.set(id, { id, provider: null, countable: true, chosen: false });
    group.append(choice(known.get(id), known.size - 1));
  }
  known.get(id).chosen = true;
  group.children[models.all.findIndex((model) => model.id === id)].firstChild.checked = true;
  input.value = "";
  return tell();
}

function tell() {
  for (const listener of listeners) listener();
}
