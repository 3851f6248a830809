import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A marketplace with the packages that a test puts there. */
export class StubMarketplace {
  /** Plugin id to package. */
  readonly packages = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  readonly #server: Server;
  url = "";

  constructor() {
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://any");
      this.asked.push(`${request.method} ${url.pathname}${url.search}`);
      const found = this.packages.get((url.searchParams.get("unique_identifier") ?? "").split(":")[0] ?? "");
      if (!found) return response.writeHead(404).end("{}");
      response.writeHead(200).end(found);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((listens) => this.#server.listen(0, "127.0.0.1", listens));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}
