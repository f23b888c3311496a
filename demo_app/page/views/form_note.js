// The notes above the form: on raw JSON that it would replace, and on fields that it does not show.

import { byId, say, setText } from "../lib/dom.js";
import { request } from "../model/request.js";
import { unshownFields } from "../model/unshown.js";

const MOST = 8; // names
const NONE =
  "tool_choice, thinking, anthropic_beta and other fields have no control here: write them under " +
  "Raw JSON, and the form keeps them.";

export function startFormNote() {
  request.listen(show);
}

function show() {
  const problem = request.problems.raw;
  say(
    byId("form-note"),
    problem && `The raw JSON cannot be read, and an edit here replaces it. ${problem}`,
  );
  const { top, inner } = unshownFields(request.body);
  const names = [...top, ...inner.map((name) => `${name} of blocks`)];
  const kept = `Kept and sent, though not in this form: ${listed(names)}. Edit them under Raw JSON.`;
  setText(byId("form-kept"), names.length ? kept : NONE);
}

function listed(names) {
  const first = names.slice(0, MOST).map((name) => name.slice(0, 60));
  const more = names.length - first.length;
  return [...first, ...(more ? [`${more} more`] : [])].join(", ");
}
