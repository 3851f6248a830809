import { request as ask, createServer } from "node:http";
import { pipeline } from "node:stream";

/** Where Dify's own nginx sends its paths; the rest goes to the web. Those of the stand-in itself go to the API. */
const forApi = ["/console/api", "/api", "/v1", "/files", "/e/", "/mcp", "/triggers", "/control", "/rehearsal"];

/** The one door from outside. 502 while what is behind it is not there yet. */
export function proxy(behind: { api: string; web: string }, port: number): Promise<void> {
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const base = forApi.some((prefix) => path.startsWith(prefix)) ? behind.api : behind.web;
    const passed = ask(`${base}${path}`, { method: request.method, headers: request.headers });
    passed.once("error", () => {
      if (response.headersSent) return void response.destroy();
      response.writeHead(502, { "Content-Type": "text/html" });
      response.end("<h1>502 Bad Gateway</h1> REHEARSAL");
    });
    passed.once("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response, () => {});
    });
    pipeline(request, passed, () => {});
  });
  server.requestTimeout = 0;
  return new Promise((listens) => server.listen(port, "0.0.0.0", listens));
}
