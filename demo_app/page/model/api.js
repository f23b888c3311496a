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

// Count a body of JSON, a text or a blob: tokens, and what the headers say of them.
export async function count(body, signal) {
  const started = performance.now();
  const response = await send("v1/messages/count_tokens", post(body, signal));
  const about = {
    provider: response.headers.get("x-demo-provider"),
    upstream: response.headers.get("x-demo-upstream"),
    source: response.headers.get("x-count-tokens-source"),
  };
  try {
    const answer = await json(response);
    if (!Number.isInteger(answer?.input_tokens)) throw notUnderstood(response);
    return { ...about, tokens: answer.input_tokens, ms: performance.now() - started };
  } catch (error) {
    throw Object.assign(error, about, { ms: performance.now() - started });
  }
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
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
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
