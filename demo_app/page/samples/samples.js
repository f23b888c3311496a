// The example requests: each is a JSON file beside this module, and fetched when it is chosen.

// By title; `attachment` is what its image is called, for which the format has no place.
export const SAMPLES = {
  Hello: { file: "hello.json" },
  "Haiku (one message)": { file: "haiku.json" },
  "Multi-turn conversation": { file: "conversation.json" },
  Tools: { file: "tools.json" },
  Image: { file: "image.json", attachment: "chart.png" },
  "Claude Code session": { file: "claude_code_session.json" },
};

export async function fetchSample(title, signal) {
  const response = await fetch(new URL(SAMPLES[title].file, import.meta.url), { signal });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}
