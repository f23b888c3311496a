// How files come in: by the button, by drop and by paste. They go to the last user message.

import { byId, say } from "../lib/dom.js";
import { isObject } from "../lib/json.js";
import { blocksOf } from "../model/attachments.js";
import { request } from "../model/request.js";

const region = byId("request");
const input = byId("files");
let depth = 0; // of the elements that a drag has entered

export function startFiles() {
  byId("attach").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    await take([...input.files]);
    input.value = "";
  });
  region.addEventListener("dragenter", (event) => dragged(event, 1));
  region.addEventListener("dragleave", (event) => dragged(event, -1));
  region.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  region.addEventListener("drop", dropped);
  document.addEventListener("paste", pasted);
}

const holdsFiles = (event) => event.dataTransfer.types.includes("Files");

function dragged(event, step) {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  depth = Math.max(0, depth + step);
  region.classList.toggle("dropping", depth > 0);
}

function dropped(event) {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  depth = 0;
  region.classList.remove("dropping");
  take([...event.dataTransfer.files]);
}

function pasted(event) {
  const files = [...event.clipboardData.files];
  const elsewhere = event.target !== document.body && !region.contains(event.target);
  // What an office program copies is text and its picture: the text is meant.
  if (!files.length || elsewhere || event.clipboardData.types.includes("text/plain")) return;
  event.preventDefault();
  take(files);
}

async function take(files) {
  const { blocks, problems } = await blocksOf(files);
  if (blocks.length && !attach(blocks)) problems.push("The body’s messages are no list.");
  say(byId("attach-problem"), problems.join(" "));
}

function attach(blocks) {
  if (!request.body.messages) request.put("messages", []);
  const { messages } = request.body;
  if (!Array.isArray(messages)) return false;
  const message = messages.findLast((each) => isObject(each) && each.role === "user");
  if (message) message.content = withBlocks(message.content, blocks);
  else messages.push({ role: "user", content: blocks });
  request.changed("files");
  return true;
}

// Before the text, as models read them best, and after what has to come first.
function withBlocks(content, blocks) {
  if (!Array.isArray(content)) {
    return content ? [...blocks, { type: "text", text: content }] : blocks;
  }
  const at = content.findIndex((block) => block?.type === "text");
  return content.toSpliced(at < 0 ? content.length : at, 0, ...blocks);
}
