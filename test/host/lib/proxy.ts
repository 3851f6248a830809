import { createServer, request as forward, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";

export interface HttpProxy {
  url: string;
  /** What it was asked for: `GET http://host/path`, `CONNECT host:443`. */
  asked: string[];
  close(): void;
}

/** An HTTP proxy on loopback that knows names nobody else does: each leads to a port of loopback. */
export async function startProxy(names: Record<string, number>): Promise<HttpProxy> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? "http://none/");
    const port = names[url.hostname];
    if (port === undefined) return void response.writeHead(502).end("this proxy does not know the name\n");
    const passed = forward(
      {
        port,
        host: "127.0.0.1",
        path: url.pathname + url.search,
        method: request.method,
        headers: request.headers,
        agent: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  });
  server.on("connect", (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    const port = names[(request.url ?? "").split(":")[0] ?? ""];
    if (port === undefined) return void socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    const line = connect(port, "127.0.0.1", () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    line.on("error", () => socket.destroy());
    socket.on("error", () => line.destroy());
    line.pipe(socket).pipe(line);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
