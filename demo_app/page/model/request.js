// The request: one JSON object, which the form and the raw text both edit in place.
//
// Whoever has changed `body` calls `changed(this view)`; all others are told. Text that is no valid
// JSON is a problem of the view that holds it, and while there is one the request is not `valid`.

import { compact, isObject } from "../lib/json.js";

const LARGE = 1_000_000; // characters of JSON

const listeners = new Set();
let problems = {};
let written = null; // the body without its model as JSON, until it changes

export const request = {
  body: { messages: [] },

  get valid() {
    return Object.keys(problems).length === 0;
  },

  // Why the request cannot be sent, in words, by the view that says so.
  get problems() {
    return problems;
  },

  // The same request for a model, as compact JSON. What the body itself says of a model gives way.
  textFor(model) {
    return withModel(compactRest(), model);
  },

  // What to send for each of the models. A large body is encoded once, for all of them.
  payloads(models) {
    const rest = compactRest();
    if (rest.length < LARGE) return new Map(models.map((model) => [model, withModel(rest, model)]));
    const shared = new Blob([rest.slice(1)]);
    return new Map(
      models.map((model) => [model, new Blob([`{"model":${compact(model)},`, shared])]),
    );
  },

  // The same as an object.
  bodyFor(model) {
    return { model, ...withoutModel(this.body) };
  },

  // Take another body for this one.
  replace(body, origin) {
    problems = {};
    this.body = body;
    tell(origin);
  },

  // A view has changed the body in place, which also ends what was invalid in it.
  changed(origin) {
    const { [origin]: _, raw: __, ...left } = problems;
    problems = left;
    tell(origin);
  },

  // A view holds text that cannot be taken over; the body stays what it was.
  refuse(origin, problem) {
    problems = { ...problems, [origin]: problem };
    tell(origin);
  },

  // Set a top-level field, before those that usually follow it; undefined takes it away.
  put(name, value) {
    if (value === undefined) delete this.body[name];
    else if (Object.hasOwn(this.body, name)) this.body[name] = value;
    else this.body = ordered({ ...this.body, [name]: value });
  },

  listen(listener) {
    listeners.add(listener);
  },
};

function tell(origin) {
  written = null;
  for (const listener of listeners) listener(origin);
}

const FIRST = ["model", "system", "tools", "messages"];

function ordered(body) {
  const first = FIRST.filter((name) => Object.hasOwn(body, name));
  const rest = Object.keys(body).filter((name) => !first.includes(name));
  return Object.fromEntries([...first, ...rest].map((name) => [name, body[name]]));
}

function withoutModel({ model: _, ...rest }) {
  return rest;
}

function compactRest() {
  written ??= compact(withoutModel(request.body));
  return written;
}

function withModel(rest, model) {
  return rest === "{}" ? compact({ model }) : `{"model":${compact(model)},${rest.slice(1)}`;
}

// A copy that can be edited without changing what it was made of.
export function copyOf(value) {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, held]) => [name, copyOf(held)]));
}
