/** An event of a streamed chat: the JSON behind `data:`. */
export interface StreamEvent {
  event: string;
  [key: string]: unknown;
}

// A picture comes as a link: a longer line is no event of Dify's.
const maxLine = 8 * 1024 * 1024;
const maxStream = 64 * 1024 * 1024;

/**
 * Reads server-sent events as Dify writes them: `data: {json}`, and `event: ping` to keep the line open.
 * Lines that are neither are passed over.
 * @throws Error where a line or the stream never ends, or a line is no JSON
 */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxStream) throw new Error(`more than ${maxStream} bytes in the stream`);
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > maxLine) throw new Error(`a line of more than ${maxLine} characters in the stream`);
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) yield* eventOf(line);
  }
  yield* eventOf(rest + decoder.decode());
}

function* eventOf(line: string): Generator<StreamEvent> {
  if (!line.startsWith("data:")) return;
  const text = line.slice(5).trim();
  if (text === "") return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`a line of the stream is not JSON: ${text.slice(0, 120)}`);
  }
  if (typeof value === "object" && value !== null && typeof (value as StreamEvent).event === "string")
    yield value as StreamEvent;
}
