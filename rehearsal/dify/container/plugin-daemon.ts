import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { fetchDirectly, type Outgoing, Unreachable } from "../outbound.ts";

/**
 * Where the plugins run: their requests leave from this container, so that an address which only works elsewhere fails
 * here as it would with the real one.
 * @param key what the API has to show
 */
export function servePluginDaemon(key: string, port: number): Promise<void> {
  const server = createServer((request, response) => void answer(key, request, response));
  server.requestTimeout = 0;
  return new Promise((listens) => server.listen(port, "0.0.0.0", listens));
}

async function answer(key: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on("error", () => {});
  if (request.url === "/health/check") return end(response, 200, '{"status":"ok","stand_in":"REHEARSAL"}');
  if (request.url !== "/rehearsal/fetch") return end(response, 404, "REHEARSAL: there is nothing else here");
  if (!key || request.headers["x-api-key"] !== key) return end(response, 401, "PLUGIN_DAEMON_KEY is another one");
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  try {
    const outgoing = JSON.parse(Buffer.concat(parts).toString("utf8")) as Outgoing;
    const { status, body } = await fetchDirectly(outgoing);
    response.writeHead(status, { "Content-Type": "application/octet-stream" });
    pipeline(body, response, () => {});
  } catch (error) {
    end(response, error instanceof Unreachable ? 502 : 400, error instanceof Error ? error.message : String(error));
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain" });
  response.end(text);
}
