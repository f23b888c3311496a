// A breakdown as parts with names for a person, in groups by kind: system, tools, messages of a role,
// images, documents, overhead.

import { nameOf } from "./attachments.js";
import { isAttachment, isText } from "./blocks.js";

// Each as `{name, kind, detail, tokens, reason}`, in the order of the request: tokens are null where
// it cannot be counted, for that reason. `body` is what was broken down. Each token is in one part: an
// image that has a number is taken out of its message's.
export function partsOf(breakdown, body) {
  const reasons = new Map((breakdown.errors ?? []).map(({ part, message }) => [part, message]));
  const part = (path, name, kind, tokens, more = {}) => {
    const reason = tokens === null ? (reasons.get(path) ?? "") : "";
    return { name, kind, tokens, reason, detail: "", ...more };
  };
  const toolOf = namesOfCalls(body.messages);
  const tools = breakdown.tools.map((tool, index) =>
    part(`tools.${index}`, tool.name ?? `Tool ${index + 1}`, "tool", tool.input_tokens),
  );
  const messages = breakdown.messages.flatMap((message, index) => {
    const sent = body.messages[index];
    const name = `Message ${index + 1}`;
    const attached = (message.images ?? []).map(({ path, type, input_tokens }) => {
      const more = { detail: `in message ${index + 1}` };
      return part(
        `messages.${index}.${path}`,
        attachmentAt(sent, path),
        type,
        input_tokens,
        more,
      );
    });
    const apart = message.input_tokens === null ? [] : attached.filter(isCounted);
    const rest = apart.reduce((tokens, image) => tokens - image.tokens, message.input_tokens);
    const without = apart.map((image) => `without ${image.name}`);
    const detail = [...without, beginning(sent.content, toolOf)].filter(Boolean).join(" · ");
    return [
      part(`messages.${index}`, name, kindOf(message.role), rest, { detail }),
      ...attached,
    ];
  });
  const system = part("system", "System", "system", breakdown.system ?? null);
  const overhead = part("overhead", "Overhead", "overhead", breakdown.overhead ?? null);
  if (overhead.tokens === null && !overhead.reason) {
    overhead.reason = "It is the rest, and not every part has a number.";
  }
  const hasSystem = body.system !== undefined || breakdown.system;
  return [...(hasSystem ? [system] : []), ...tools, ...messages, overhead];
}

const isCounted = ({ tokens }) => tokens !== null;
const kindOf = (role) => `${role} message`;

// The block at a path such as `content.1`, or `content.0.content.2` in a tool's result.
function attachmentAt(message, path) {
  let content = [];
  let block = message;
  for (const step of path.split(".")) {
    if (Array.isArray(block)) content = block;
    block = block?.[step];
  }
  return isAttachment(block) ? nameOf(block, content) : path;
}

// A message's first words, and what else it holds.
function beginning(content, toolOf) {
  if (!Array.isArray(content)) return String(content ?? "").slice(0, 200);
  const text = content.find((block) => isText(block) && block.text.trim());
  const others = content.filter((block) => !isText(block) && !isAttachment(block));
  const named = others.map((block) => {
    const tool = block?.name ?? toolOf.get(block?.tool_use_id);
    return [block?.type, tool].filter(Boolean).join(" ");
  });
  return [...(text ? [text.text.slice(0, 200)] : []), ...named].join(" · ");
}

// Which tool a result is of.
function namesOfCalls(messages) {
  const blocks = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  return new Map(blocks.filter((block) => block?.id).map(({ id, name }) => [id, name]));
}

// The parts by kind as `{kind, parts, tokens, uncounted}`: the largest sum first, and the largest part
// first in each. Whatever has no number comes last; a group's tokens are null where no part has one.
export function groupsOf(parts) {
  const groups = Map.groupBy(parts.toSorted(bySize), ({ kind }) => kind);
  return [...groups].map(([kind, held]) => groupOf(kind, held)).sort(bySize);
}

function groupOf(kind, parts) {
  const counted = parts.filter(isCounted);
  const sum = counted.reduce((tokens, part) => tokens + part.tokens, 0);
  return {
    kind,
    parts,
    tokens: counted.length ? sum : null,
    uncounted: parts.length - counted.length,
  };
}

const rank = ({ tokens }) => tokens ?? -Number.MAX_VALUE;
const bySize = (one, other) => rank(other) - rank(one);
