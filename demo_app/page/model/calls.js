// The text of a call that works when it is pasted, for curl, httpx and the anthropic SDK.

import { compact, isObject, isRaw, pretty } from "../lib/json.js";

// A body is `{model, …}`, `where` the gateway's address, `key` a key to write in, or null.
// Where `file` is named, the body is read from it.
export const CALLS = { curl, httpx, sdk };

function curl({ body, where, key, file }) {
  const header = key === null ? '"x-api-key: $GATEWAY_KEY"' : shell(`x-api-key: ${key}`);
  const data = file ? `--data-binary ${shell(`@${file}`)}` : `--data-binary ${shell(pretty(body))}`;
  return `curl -X POST ${shell(`${where}/v1/messages/count_tokens`)} \\
  -H 'content-type: application/json' \\
  -H ${header} \\
  ${data}`;
}

function httpx({ body, where, key, file }) {
  const imports = ["import httpx", ...imported(key)].sort();
  const sent = file
    ? [`    content=open("${file}", "rb").read(),`]
    : [`    json=${python(body, "    ")},`];
  const headers = [`"x-api-key": ${keyIn(key)}`];
  if (file) headers.unshift('"content-type": "application/json"');
  return [
    ...imports,
    "",
    "response = httpx.post(",
    `    ${quoted(`${where}/v1/messages/count_tokens`)},`,
    `    headers={${headers.join(", ")}},`,
    ...sent,
    "    timeout=60,",
    ")",
    "print(response.json())",
  ].join("\n");
}

function sdk({ body, where, key, file }) {
  const client = `client = anthropic.Anthropic(api_key=${keyIn(key)}, base_url=${quoted(where)})`;
  if (file) {
    return [
      ...["import json", ...imported(key)].sort(),
      "",
      "import anthropic",
      "",
      `body = json.load(open("${file}", encoding="utf-8"))`,
      client,
      "count = client.messages.count_tokens(",
      '    model=body.pop("model"), messages=body.pop("messages"), extra_body=body',
      ")",
      "print(count.input_tokens)",
    ].join("\n");
  }
  const head = imported(key).length ? [...imported(key), ""] : [];
  const call = ["count = client.messages.count_tokens(", ...arguments_(body), ")"];
  return [...head, "import anthropic", "", client, ...call, "print(count.input_tokens)"].join("\n");
}

// What the SDK has no parameter for goes into its `extra_body`.
const PARAMETERS = ["model", "system", "messages", "tools", "tool_choice", "thinking"];

function arguments_(body) {
  const names = Object.keys(body);
  const lines = names
    .filter((name) => PARAMETERS.includes(name))
    .map((name) => `    ${name}=${python(body[name], "    ")},`);
  if (!names.includes("messages")) lines.push("    messages=[],");
  const extra = names.filter((name) => !PARAMETERS.includes(name));
  if (extra.length) {
    const held = Object.fromEntries(extra.map((name) => [name, body[name]]));
    lines.push(`    extra_body=${python(held, "    ")},`);
  }
  return lines;
}

const imported = (key) => (key === null ? ["import os"] : []);
const keyIn = (key) => (key === null ? 'os.environ["GATEWAY_KEY"]' : quoted(key));

// In single quotes, in which a shell takes everything but themselves as it is.
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// JSON's strings are Python's too.
const quoted = (text) => compact(text);

const WORDS = new Map([
  [true, "True"],
  [false, "False"],
  [null, "None"],
]);

// A JSON value as a Python literal.
function python(value, indent = "") {
  if (WORDS.has(value)) return WORDS.get(value);
  if (isRaw(value) || !(Array.isArray(value) || isObject(value))) return compact(value);
  const inner = `${indent}    `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => python(item, inner))
    : Object.entries(value).map(([name, item]) => `${quoted(name)}: ${python(item, inner)}`);
  if (!items.length) return open + close;
  const short = open + items.join(", ") + close;
  if (short.length + indent.length < 76 && !short.includes("\n")) return short;
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}`;
}
