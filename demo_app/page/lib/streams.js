// Reading a streamed answer: its lines, its JSON lines, its server-sent events.

async function* lines(response, heard = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      heard();
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) yield part.replace(/\r$/, "");
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
  if (rest) yield rest;
}

export async function* jsonLines(response) {
  for await (const line of lines(response)) {
    if (line.trim()) yield JSON.parse(line);
  }
}

// Each event as `{event, data, id}`; comments only prove that the connection lives.
export async function* serverSentEvents(response, heard) {
  let event = { event: "message", data: [] };
  for await (const line of lines(response, heard)) {
    if (line === "") {
      if (event.data.length) yield { ...event, data: event.data.join("\n") };
      event = { event: "message", data: [] };
      continue;
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "data") event.data.push(value);
    else if (name === "event" || name === "id") event[name] = value;
  }
}
