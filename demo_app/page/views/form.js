// The request as a form: system, messages and tools. It is made anew when others change the body.

import { byId, el, say } from "../lib/dom.js";
import { isObject, parse, pretty } from "../lib/json.js";
import { isText } from "../model/blocks.js";
import { request } from "../model/request.js";
import { startFormNote } from "./form_note.js";
import { messageGroup } from "./message.js";
import { area, blockEditor, shownBlock } from "./texts.js";

const panel = byId("panel-form");
const tools = byId("tools");
let stale = true;

export function startForm() {
  tools.addEventListener("input", toolsEdited);
  byId("add-message").addEventListener("click", addMessage);
  startFormNote();
  request.listen((origin) => {
    if (origin === "form" || origin === "tools") return;
    stale = true;
    showForm();
  });
}

// Make the form anew where it can be seen and is behind.
export function showForm() {
  if (panel.hidden || !stale) return;
  stale = false;
  const { id, selectionStart, selectionEnd } = document.activeElement;
  byId("system-fields").replaceChildren(...systemFields());
  showMessages();
  tools.value = request.body.tools === undefined ? "" : pretty(request.body.tools);
  say(byId("tools-problem"), "");
  if (document.activeElement.id !== id) byId(id)?.focus();
  if (panel.contains(byId(id)) && selectionStart)
    byId(id).setSelectionRange(selectionStart, selectionEnd);
}

const edited = () => request.changed("form");

// ---- System

function systemFields() {
  const { system } = request.body;
  if (Array.isArray(system)) return systemBlocks(system);
  if (system !== undefined && typeof system !== "string") return [shownBlock(system)];
  const set = (text) => {
    request.put("system", text || undefined);
    edited();
  };
  return [field("System", systemArea("System", "system", system ?? "", set))];
}

function systemBlocks(list) {
  const changed = () => {
    request.put("system", list.length ? list : undefined);
    edited();
  };
  const blocks = list.some(isText) ? list : [{ type: "text", text: "" }, ...list];
  let texts = 0;
  return blocks.map((block, place) => {
    if (!isText(block)) return shownBlock(block);
    texts += 1;
    const label = texts === 1 ? "System" : `Instructions, block ${texts}`;
    const set = blockEditor(list, block, { place, changed });
    return field(label, systemArea(label, `system-${texts}`, block.text, set));
  });
}

function systemArea(label, id, text, set) {
  return area(id, label, text, set, { placeholder: "No system prompt", class: "system" });
}

function field(label, control) {
  control.removeAttribute("aria-label");
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control);
}

// ---- Messages

function showMessages() {
  const { messages } = request.body;
  byId("messages").replaceChildren(...messageGroups(messages));
  byId("add-message").disabled = messages !== undefined && !Array.isArray(messages);
}

function messageGroups(messages) {
  if (messages === undefined) return [];
  if (!Array.isArray(messages)) return [shownBlock(messages)];
  return messages.map((message, index) =>
    messageGroup(message, index + 1, {
      edited,
      rebuilt: (focus) => rebuilt(focus),
      removed: () => {
        messages.splice(index, 1);
        rebuilt(`text-${Math.min(index + 1, messages.length)}`);
      },
    }),
  );
}

function addMessage() {
  if (!request.body.messages) request.put("messages", []);
  const { messages } = request.body;
  const last = messages.at(-1);
  const role = isObject(last) && last.role === "user" ? "assistant" : "user";
  messages.push({ role, content: "" });
  rebuilt(`text-${messages.length}`);
}

function rebuilt(focus) {
  showMessages();
  (byId(focus) ?? byId("add-message")).focus();
  edited();
}

// ---- Tools

function toolsEdited() {
  const problem = readTools(tools.value.trim());
  say(byId("tools-problem"), problem);
  if (problem) request.refuse("tools", `Tools: ${problem}`);
  else request.changed("tools");
}

function readTools(text) {
  if (!text) {
    request.put("tools", undefined);
    return null;
  }
  try {
    const list = parse(text);
    if (!Array.isArray(list)) return "A JSON list is needed, as [ … ].";
    request.put("tools", list);
    return null;
  } catch (error) {
    return `This is not valid JSON: ${error.message}.`;
  }
}
