import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { readPackage } from "../../../rehearsal/dify/packages.ts";
import { keepLines } from "../../../rehearsal/lib/lines.ts";

/** A marketplace with the packages that a test puts there. */
export class StubMarketplace {
  /** Plugin id to package. */
  readonly packages = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  /** Answers nothing about versions; downloads go on. */
  mute = false;
  readonly #server: Server;
  url = "";

  constructor() {
    this.#server = createServer(async (request, response) => {
      const url = new URL(request.url ?? "/", "http://any");
      this.asked.push(`${request.method} ${url.pathname}${url.search}`);
      const [, id, batch] = /^\/api\/v1\/plugins\/(?:([\w-]+\/[\w-]+)\/versions|(batch))$/.exec(url.pathname) ?? [];
      if (this.mute && (id || batch)) return response.writeHead(403).end("{}");
      if (id) return response.end(JSON.stringify({ code: 0, data: { versions: this.#versions([id]) } }));
      if (batch) {
        const { plugin_ids } = JSON.parse(await text(request)) as { plugin_ids: string[] };
        const plugins = this.#versions(plugin_ids).map(({ plugin_id, version, unique_identifier }) => ({
          plugin_id,
          latest_version: version,
          latest_package_identifier: unique_identifier,
        }));
        return response.end(JSON.stringify({ code: 0, data: { plugins } }));
      }
      const found = this.packages.get((url.searchParams.get("unique_identifier") ?? "").split(":")[0] ?? "");
      if (!found) return response.writeHead(404).end("{}");
      response.writeHead(200).end(found);
    });
  }

  #versions(ids: string[]) {
    return ids.flatMap((plugin_id) => {
      const bytes = this.packages.get(plugin_id);
      const unique_identifier = bytes && readPackage(bytes)?.id;
      return unique_identifier ? [{ plugin_id, version: unique_identifier.split(/[:@]/)[1], unique_identifier }] : [];
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((listens) => keepLines(this.#server).listen(0, "127.0.0.1", listens));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}
