// The examples to begin with, each made anew when it is chosen.

import { byId, el } from "../lib/dom.js";
import { blockOf } from "../model/attachments.js";
import { request } from "../model/request.js";
import { claudeCodeSession } from "../samples/session.js";

const EXAMPLES = {
  Hello: () => ({ messages: [user("Hello, how are you?")] }),
  "Haiku (one message)": () => ({
    messages: [
      user("You are a helpful assistant. Please help me write a haiku about programming."),
    ],
  }),
  "Multi-turn conversation": () => ({
    messages: [
      user("What is the capital of France?"),
      { role: "assistant", content: "The capital of France is Paris." },
      user("What is its population?"),
    ],
  }),
  Tools: withTools,
  Image: withImage,
  "Claude Code session": claudeCodeSession,
};

const select = byId("example");

export function startExamples() {
  select.replaceChildren(
    ...Object.keys(EXAMPLES).map((name) => el("option", { value: name }, name)),
  );
  select.addEventListener("change", choose);
  byId("reset").addEventListener("click", choose);
  choose();
}

function choose() {
  request.replace(EXAMPLES[select.value](), "example");
}

const user = (content) => ({ role: "user", content });

function withTools() {
  return {
    system: "You plan trips. Look things up instead of guessing.",
    tools: [weatherTool(), trainTool()],
    messages: [user("I want to go from Zürich to Milan on Friday. Will I need an umbrella?")],
  };
}

function weatherTool() {
  return {
    name: "get_weather",
    description: "The weather forecast for a place on a day, at most ten days ahead.",
    input_schema: {
      type: "object",
      properties: {
        place: { type: "string", description: "City and country, as “Milan, Italy”." },
        day: { type: "string", format: "date" },
        unit: { type: "string", enum: ["celsius", "fahrenheit"] },
      },
      required: ["place", "day"],
    },
  };
}

function trainTool() {
  return {
    name: "find_trains",
    description: "Train connections between two stations, the fastest first.",
    input_schema: {
      type: "object",
      properties: {
        from: { type: "string", description: "The station to leave from." },
        to: { type: "string", description: "The station to arrive at." },
        depart_after: { type: "string", format: "date-time" },
        changes: { type: "integer", minimum: 0, description: "How many changes at most." },
      },
      required: ["from", "to"],
    },
  };
}

function withImage() {
  const image = blockOf(chart().toDataURL("image/png"), "chart.png");
  return { messages: [user([image, { type: "text", text: "What does this chart show?" }])] };
}

// Some bars on a ground, so that there is something to see.
function chart() {
  const canvas = el("canvas", { width: 320, height: 200 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#f4f1ea";
  pen.fillRect(0, 0, 320, 200);
  for (const [index, height] of [52, 88, 71, 120, 143, 110, 164].entries()) {
    pen.fillStyle = index === 6 ? "#c2571a" : "#0f766e";
    pen.fillRect(24 + index * 40, 180 - height, 28, height);
  }
  pen.fillStyle = "#57534e";
  pen.fillRect(16, 180, 288, 2);
  return canvas;
}
