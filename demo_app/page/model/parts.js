// A breakdown as a list of parts with names for a person: system, tools, messages with their
// images, overhead.

import { nameOf } from "./attachments.js";
import { isAttachment, isText } from "./blocks.js";

// Each as `{name, kind, detail, tokens, reason, within}`: `within` are its own parts, counted in
// it; tokens are null where it cannot be counted, for that reason. `body` is what was broken down.
export function partsOf(breakdown, body) {
  const reasons = new Map((breakdown.errors ?? []).map(({ part, message }) => [part, message]));
  const part = (path, name, kind, tokens, more = {}) => {
    const reason = tokens === null ? (reasons.get(path) ?? "") : "";
    return { name, kind, tokens, reason, detail: "", within: [], ...more };
  };
  const toolOf = namesOfCalls(body.messages);
  const tools = breakdown.tools.map((tool, index) =>
    part(`tools.${index}`, tool.name ?? `Tool ${index + 1}`, "tool", tool.input_tokens),
  );
  const messages = breakdown.messages.map((message, index) => {
    const sent = body.messages[index];
    return part(
      `messages.${index}`,
      `Message ${index + 1}`,
      kindOf(message.role),
      message.input_tokens,
      {
        detail: beginning(sent.content, toolOf),
        within: (message.images ?? []).map(({ path, type, input_tokens }) =>
          part(`messages.${index}.${path}`, attachmentAt(sent, path), type, input_tokens),
        ),
      },
    );
  });
  const system = part("system", "System", "system", breakdown.system ?? null);
  const overhead = part("overhead", "Overhead", "overhead", breakdown.overhead ?? null);
  if (overhead.tokens === null && !overhead.reason) {
    overhead.reason = "It is the rest, and not every part has a number.";
  }
  const hasSystem = body.system !== undefined || breakdown.system;
  return [...(hasSystem ? [system] : []), ...tools, ...messages, overhead];
}

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

// What each kind holds together, in the order in which they come; `uncounted` have no number.
export function sumsOf(parts) {
  const sums = new Map();
  for (const { kind, tokens } of parts) {
    const sum = sums.get(kind) ?? { kind, count: 0, uncounted: 0, tokens: 0 };
    sums.set(kind, sum);
    sum.count += 1;
    sum.uncounted += tokens === null ? 1 : 0;
    sum.tokens += tokens ?? 0;
  }
  return [...sums.values()];
}
