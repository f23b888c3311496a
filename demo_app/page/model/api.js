// The gateway over HTTP. Whatever goes wrong is thrown as an `ApiError`, in words for a person.

import { jsonLines, serverSentEvents } from "../lib/streams.js";
import { key } from "./key.js";

export const base = new URL("./", document.baseURI);

export class ApiError extends Error {
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export const isAbort = (error) => error?.name === "AbortError";

// What `GET /demo/info` tells: the demo's version, key, upstreams and models.
export async function info() {
  return json(await send("demo/info", {}));
}

// Count a body of JSON, a text or a blob: tokens, the facts in the headers, and the whole answer. An
// error has the same facts.
export async function count(body, signal) {
  const started = performance.now();
  const response = await send("v1/messages/count_tokens", post(body, signal));
  const text = await textOf(response);
  const { status, statusText, headers } = response;
  const about = {
    provider: headers.get("x-demo-provider"),
    upstream: headers.get("x-demo-upstream"),
    source: headers.get("x-count-tokens-source"),
    gatewayMs: durationIn(headers.get("server-timing"), "gateway"),
    browserMs: performance.now() - started,
    answer: { status, statusText, headers: [...headers], text },
  };
  try {
    const tokens = read(response, text)?.input_tokens;
    if (!Number.isInteger(tokens)) throw notUnderstood(response);
    return { ...about, tokens };
  } catch (error) {
    throw Object.assign(error, about);
  }
}

// The milliseconds of a metric in a `server-timing` header, null where it has none.
function durationIn(header, metric) {
  const duration = new RegExp(`(?:^|,)\\s*${metric}\\s*;[^,]*?\\bdur=([\\d.]+)`).exec(header ?? "");
  return duration && Number(duration[1]);
}

// Break a body down: `{done, total}` while it is counted, and last `{breakdown}` or `{error}`.
export async function* breakdown(body, signal) {
  const response = await send("demo/breakdown", post(body, signal));
  if (!response.ok) await json(response);
  try {
    yield* jsonLines(response);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(null, null, "The gateway's answer broke off before there was a breakdown.");
  }
}

// The demo's events, for as long as the connection lasts; `heard` is called for each sign of life.
export async function* events(signal, heard) {
  const response = await send("demo/events", { headers: authorized(), signal, cache: "no-store" });
  if (!response.ok) await json(response);
  heard();
  for await (const { event, data } of serverSentEvents(response, heard)) {
    if (event === "count") yield JSON.parse(data);
  }
}

function authorized() {
  return { "x-api-key": key.value };
}

function post(body, signal) {
  const headers = { ...authorized(), "content-type": "application/json" };
  return { method: "POST", headers, body, signal };
}

async function send(path, options) {
  if (!/^[\x20-\x7e]*$/.test(options.headers?.["x-api-key"] ?? "")) {
    const error = new ApiError(401, null, "An API key has only plain letters, digits and signs.");
    key.refused(error.message);
    throw error;
  }
  let response;
  try {
    response = await fetch(new URL(path, base), options);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(null, null, "The gateway could not be reached; does it still run?");
  }
  // Of a key that is no longer in the field, there is nothing to say beside it.
  if (options.headers?.["x-api-key"] === key.value) {
    if (response.status === 401) key.refused(await messageOf(response.clone()));
    else key.accepted();
  }
  return response;
}

async function json(response) {
  return read(response, await textOf(response));
}

async function textOf(response) {
  try {
    return await response.text();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw notUnderstood(response);
  }
}

function read(response, text) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw notUnderstood(response);
  }
  if (!response.ok) throw errorOf(response, answer);
  return answer;
}

async function messageOf(response) {
  const answer = await response.json().catch(() => null);
  return errorOf(response, answer).message;
}

function errorOf(response, answer) {
  const { type, message } = answer?.error ?? {};
  if (typeof message !== "string") return notUnderstood(response);
  return new ApiError(response.status, type, message);
}

function notUnderstood(response) {
  const words =
    "This answer is not the API's; something in front of the gateway may have given it.";
  return new ApiError(response.status, null, words);
}
