import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { answerFile } from "../../../rehearsal/upstreams/downloads.ts";
import { serveGit } from "../../../rehearsal/upstreams/git-http.ts";
import { indexPages } from "./indexPages.ts";
import type { Manifest } from "./manifest.ts";

export interface Serving {
  /** Ends in a slash. */
  base: string;
  port: number;
  /** Bytes that went out. */
  sent(): number;
  close(): Promise<void>;
}

/**
 * Serves a bundle on 127.0.0.1 as upstreams: `/git/`, `/simple/` (PEP 503), `/models/<name>/<file>` with ranges, and the tokenizer below `/hf/`; `/contents` says what it has.
 * Only what the manifest names: nothing else of the folder.
 * @throws when the port is taken (EADDRINUSE)
 */
export async function serveBundle(folder: string, manifest: Manifest, port = 0): Promise<Serving> {
  const routes = filesByPath(manifest);
  const pages = indexPages(manifest.wheels);
  let sent = 0;
  const server = createServer((request, response) => {
    const { socket } = request;
    const before = socket.bytesWritten;
    response.once("close", () => {
      sent += socket.bytesWritten - before;
    });
    // `//` and `http://[` are none.
    const url = URL.parse(request.url ?? "/", "http://127.0.0.1");
    if (!url) return void response.writeHead(400).end();
    const path = decode(url.pathname);
    if (path.startsWith("/git/"))
      return answerGit(request, response, path.slice("/git".length), url.search.slice(1), folder, manifest);
    if (request.method !== "GET" && request.method !== "HEAD")
      return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    const page = pages.get(path.replace(/\/?$/, "/"));
    if (page !== undefined) return void response.writeHead(200, { "content-type": "text/html" }).end(page);
    if (path === "/contents")
      return void response.writeHead(200, { "content-type": "text/plain" }).end(contentsOf(manifest));
    const file = routes.get(path);
    if (!file)
      return void response
        .writeHead(404, { "content-type": "text/plain" })
        .end(`no ${path} in this bundle (made for ${manifest.for})\n`);
    answerFile(request, response, {
      ...file,
      repository: "",
      file: basename(file.path),
      path: join(folder, file.path),
      large: false,
    });
  });
  await listen(server, port);
  const at = (server.address() as AddressInfo).port;
  return {
    base: `http://127.0.0.1:${at}/`,
    port: at,
    sent: () => sent,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Served = { path: string; bytes: number; sha256: string };

function filesByPath({ wheels, models, tokenizer }: Manifest): Map<string, Served> {
  const { repository, revision } = tokenizer;
  return new Map<string, Served>([
    ...wheels.map((file) => [`/wheels/${basename(file.path)}`, file] as const),
    ...models.map((file) => [`/models/${file.name}/${file.file}`, file] as const),
    ...tokenizer.files.map((file) => [`/hf/${repository}/resolve/${revision}/${file.file}`, file] as const),
  ]);
}

/** What each thing of it is known by, a line each: a host asks once for what it can have (scripts/host/lib-offline.sh). */
const contentsOf = ({ git, wheels, models, tokenizer }: Manifest): string =>
  [
    ...git.map(({ commit }) => commit),
    ...[...wheels, ...models, ...tokenizer.files].map(({ sha256 }) => sha256),
    // For an entry of the settings that has no sha256.
    ...models.map(({ name, file }) => `${name}/${file}`),
    "",
  ].join("\n");

/** A repository's path upstream, `owner/name.git`, stands for the folder that it has in the bundle. */
function answerGit(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  query: string,
  folder: string,
  { git }: Manifest,
): void {
  for (const { paths, folder: repository } of git) {
    const known = paths.find((name) => path.startsWith(`/${name}/`));
    if (known === undefined) continue;
    serveGit(request, response, `/${repository}/${path.slice(known.length + 2)}`, query, folder);
    return;
  }
  response.writeHead(404, { "content-type": "text/plain" }).end("not found in this bundle\n");
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
}
