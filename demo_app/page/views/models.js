// A checkbox for each model, and a field to add another one.

import { byId, el } from "../lib/dom.js";
import { models } from "../model/models.js";
import { providerName } from "./providers.js";

const group = byId("models");
const other = byId("other");

// `about` is what the gateway tells of itself.
export function startModels(about) {
  models.start(about);
  group.replaceChildren(...models.all.map(choice));
  byId("other-model").addEventListener("submit", added);
}

function choice(model, index) {
  const id = `model-${index}`;
  const box = el("input", {
    type: "checkbox",
    id,
    "aria-describedby": `${id}-note`,
    onchange: () => models.choose(model.id, box.checked),
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
  const id = other.value.trim();
  if (!id) {
    other.focus();
    return;
  }
  models.choose(id);
  const index = models.all.findIndex((model) => model.id === id);
  if (index === group.children.length) group.append(choice(models.all[index], index));
  group.children[index].firstChild.checked = true;
  other.value = "";
}
