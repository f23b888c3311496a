// A coding session as Claude Code sends it, some 150 KB of it, made up but the same each time.

import { randomFrom } from "./session_random.js";
import { systemPrompt } from "./session_system.js";
import { listing, logLines, matches, paths } from "./session_texts.js";
import { sessionTools } from "./session_tools.js";

const EXCHANGES = 20; // a call and its result each, and a word of the user's after half of them

export function claudeCodeSession() {
  const random = randomFrom(20_250_101);
  return { system: systemPrompt(), tools: sessionTools(), messages: conversation(random) };
}

function conversation(random) {
  const files = paths(random, EXCHANGES);
  const messages = [user(FIRST)];
  for (const [index, file] of files.entries()) {
    if (index === EXCHANGES / 2) messages.push(assistant([text(SUMMARY)]), user(SECOND));
    messages.push(...exchange(random, index, file));
  }
  return messages;
}

const user = (content) => ({ role: "user", content });
const assistant = (content) => ({ role: "assistant", content });
const text = (words) => ({ type: "text", text: words });

// What the assistant says and calls, and what comes back; every third time two calls at once.
function exchange(random, index, file) {
  const steps = [STEPS[index % STEPS.length], ...(index % 3 === 0 ? [search] : [])];
  const calls = steps.map((step, place) => ({ id: idOf(index, place), ...step(random, file) }));
  return [
    assistant([
      text(random.pick(SAID).replace("FILE", file)),
      ...calls.map(({ id, name, input }) => ({ type: "tool_use", id, name, input })),
    ]),
    user(
      calls.map(({ id, result, is_error }) => ({
        type: "tool_result",
        tool_use_id: id,
        content: result,
        ...(is_error ? { is_error } : {}),
      })),
    ),
  ];
}

const idOf = (index, place) => `toolu_01Demo${String(index * 10 + place).padStart(16, "0")}`;

function read(random, file) {
  const input = { file_path: file };
  return { name: "Read", input, result: listing(random, 118) };
}

function edit(random, file) {
  const lines = listing(random, 26).replaceAll(/^ *\d+→/gm, "");
  const input = {
    file_path: file,
    old_string: lines,
    new_string: lines.replaceAll("value", "amount"),
  };
  return {
    name: "Edit",
    input,
    result: `The file ${file} has been updated.\n${listing(random, 30)}`,
  };
}

function test(random, file) {
  const command = `python -m pytest tests -k ${file.split("/").pop().replace(".py", "")} -q`;
  const input = { command, description: "Run the tests of the file that was changed" };
  return { name: "Bash", input, result: logLines(random, 46), is_error: random.below(3) === 0 };
}

function search(random, file) {
  const input = { pattern: random.pick(["def .*total", "class .*Error", "TODO"]), path: file };
  return { name: "Grep", input, result: matches(random, 30) };
}

function plan(random) {
  const states = ["completed", "in_progress", "pending"];
  const todos = SAID.map((content, index) => ({
    content: content.replace("FILE", random.pick(["the parser", "the ledger", "the report"])),
    status: states[Math.min(2, Math.floor(index / 2))],
  }));
  return { name: "TodoWrite", input: { todos }, result: "The list of tasks was updated." };
}

const STEPS = [read, read, edit, test, plan];

const FIRST =
  "The monthly report is wrong when an invoice is split over two currencies: the totals are " +
  "added up before they are converted. Please find where that happens, write a test that shows it, and " +
  "mend it. Keep to the style of the code around it, and do not touch the public interface.";

const SECOND =
  "Good. Now do the same for credit notes, which take another path, and make the error " +
  "message say which invoice it is about. Run all of the tests again when you are done.";

const SUMMARY =
  "The totals of split invoices are now converted line by line and added up afterwards. " +
  "I added a test with two currencies that failed before and passes now; all others pass as they did.";

const SAID = [
  "I'll read FILE first, to see how the totals are made.",
  "The conversion seems to happen later than it should. Let me look at FILE.",
  "Now I'll change FILE so that each line is converted before it is added.",
  "Let me run the tests that belong to FILE.",
  "There is a second caller. I'll see whether FILE takes the same path.",
  "The rounding differs by a cent; FILE may round too early.",
];
