// Images and PDFs as blocks of Anthropic's format, and back to what a person calls them.

import { size } from "../lib/dom.js";
import { isObject } from "../lib/json.js";

const MOST = 20_000_000;
const IMAGES = ["image/jpeg", "image/png", "image/gif", "image/webp"];
const SOURCE = /^data:([a-z/+.-]+);base64,(.*)$/s;

const names = new Map(); // the format has no place for an image's file name

// The blocks that files become, and in words why some of them do not.
export async function blocksOf(files) {
  const blocks = [];
  const problems = [];
  for (const file of files) {
    const problem = refusal(file);
    if (problem) problems.push(problem);
    else await read(file, blocks, problems);
  }
  return { blocks, problems };
}

function refusal(file) {
  if (!IMAGES.includes(file.type) && file.type !== "application/pdf") {
    const type = file.type || "of no known type";
    return `“${file.name}” is ${type}; only JPEG, PNG, GIF, WebP and PDF can be attached.`;
  }
  if (file.size > MOST)
    return `“${file.name}” has ${size(file.size)}; at most 20 MB can be attached.`;
  return file.size ? null : `“${file.name}” is empty.`;
}

async function read(file, blocks, problems) {
  try {
    blocks.push(blockOf(await dataUrl(file), file.name));
  } catch (error) {
    problems.push(`“${file.name}” could not be read: ${error.message}`);
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

// The block of a base64 data URL.
function blockOf(url, name) {
  const [, media_type, data] = SOURCE.exec(url);
  const type = media_type === "application/pdf" ? "document" : "image";
  const block = { type, source: { type: "base64", media_type, data } };
  if (name) giveName(block, name);
  return block;
}

// Have a block called by a file's name, wherever it is shown.
export function giveName({ source }, name) {
  names.set(fingerprint(source), name);
}

// What a block is called: its file's name, its own title, or its place among those of a message.
export function nameOf(block, content) {
  const place = content.filter((each) => each?.type === block.type).indexOf(block) + 1;
  const title = typeof block.title === "string" ? block.title : "";
  return names.get(fingerprint(block.source)) || title || `${block.type} ${place}`;
}

// "PNG, 12 KB", or where it comes from.
export function describe({ source }) {
  if (!isObject(source)) return "";
  if (source.type !== "base64") return String(source.url ?? source.file_id ?? source.type ?? "");
  const kind = String(source.media_type).split("/").pop().toUpperCase();
  return `${kind}, ${size(Math.floor((String(source.data).length * 3) / 4))}`;
}

// A picture of it that the page may show without asking anybody for it, or null.
export function previewOf({ source }) {
  const shown = source?.type === "base64" && IMAGES.includes(source.media_type);
  return shown ? `data:${source.media_type};base64,${source.data}` : null;
}

function fingerprint(source) {
  const data = String(source?.data ?? "");
  return `${source?.media_type} ${data.length} ${data.slice(0, 64)} ${data.slice(-64)}`;
}
