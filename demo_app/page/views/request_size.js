// How much the request holds, beside its title.

import { byId, plural, setText, size } from "../lib/dom.js";
import { byteLength } from "../lib/json.js";
import { request } from "../model/request.js";

const PAUSE = 200; // ms, since a large body takes some time to write out
let timer = null;

export function startSize() {
  request.listen(() => {
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE);
  });
}

function show() {
  const { messages, tools } = request.body;
  const words = [size(byteLength(request.textFor("")))];
  if (Array.isArray(messages)) words.push(plural(messages.length, "message"));
  if (Array.isArray(tools) && tools.length) words.push(plural(tools.length, "tool"));
  setText(byId("request-size"), words.join(" · "));
}
