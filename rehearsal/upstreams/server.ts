import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { keepLines } from "../lib/lines.ts";
import { type Content, prepareContent, type ServedFile } from "./content.ts";
import { answerFile, answerHub, isAt } from "./downloads.ts";
import { type Fault, Faults } from "./faults.ts";
import { serveGit } from "./git-http.ts";
import { RequestLog, readRequestLog } from "./request-log.ts";

export interface ServeOptions {
  dir: string;
  cacheDir: string;
  /** 0 is any free one. */
  port: number;
  /** Told by `/control/health`: which text of the stand-ins this is. */
  fingerprint: string;
}

export interface Serving {
  server: Server;
  port: number;
  content: Content;
}

/**
 * Serves the stand-in upstreams on 127.0.0.1: `/git/`, `/hf/`, `/modelscope/`, and `/control/` for tests.
 * @throws when the port is taken (EADDRINUSE)
 */
export async function serve({ dir, cacheDir, port, fingerprint }: ServeOptions): Promise<Serving> {
  const content = prepareContent(cacheDir);
  const faults = new Faults();
  const logPath = join(dir, "requests.jsonl");
  const log = new RequestLog(logPath);

  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? "/", "http://127.0.0.1");
    if (!url) {
      response.writeHead(400).end();
      return;
    }
    const path = decodePath(url.pathname);
    if (path.startsWith("/control/")) {
      control(request, response, path.slice("/control/".length)).catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(400, { "content-type": "text/plain" });
        response.end(`${error instanceof Error ? error.message : error}\n`);
      });
      return;
    }
    log.watch(request, response);
    if (path.startsWith("/git/")) {
      serveGit(request, response, path.slice("/git".length), url.search.slice(1), content.gitRoot);
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    const found = find(content.files, path, url.searchParams);
    if (!found) {
      response.writeHead(404, { "content-type": "text/plain", "x-error-code": "EntryNotFound" });
      response.end(`REHEARSAL: no ${path} here\n`);
      return;
    }
    const fault = faults.take(request.method, path);
    if (found.kind === "hub") answerHub(request, response, found.file, fault);
    else answerFile(request, response, found.file, fault);
  });

  async function control(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const call = `${request.method} ${name}`;
    let answer: unknown = {};
    if (call === "GET health") answer = { fingerprint, pid: process.pid };
    else if (call === "GET requests") answer = readRequestLog(logPath);
    else if (call === "POST faults") faults.order(JSON.parse(await bodyOf(request)) as Fault);
    else if (call === "DELETE faults") faults.clear();
    else throw new Error(`No ${call}; there are GET health, GET requests, POST faults and DELETE faults.`);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  }

  await new Promise<void>((resolve, reject) => {
    keepLines(server).once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return { server, port: (server.address() as AddressInfo).port, content };
}

/** Which file a path means, and whether a hub or its store answers. */
function find(
  files: ServedFile[],
  path: string,
  query: URLSearchParams,
): { file: ServedFile; kind: "hub" | "file" } | undefined {
  const [, area = "", ...rest] = path.split("/");
  const inside = rest.join("/");
  if (area === "store") {
    const file = files.find(({ sha256, file }) => inside === `${sha256}/${file}`);
    return file && { file, kind: "file" };
  }
  if (area === "hf") {
    const file = files.find((candidate) => isAt(inside, candidate));
    return file && { file, kind: "hub" };
  }
  if (area !== "modelscope") return undefined;
  // ModelScope has two forms: the site's and the API's.
  const [, owner, name] = /^api\/v1\/models\/([^/]+)\/([^/]+)\/repo$/.exec(inside) ?? [];
  const plain = owner ? `${owner}/${name}/resolve/master/${query.get("FilePath")}` : inside.replace(/^models\//, "");
  const file = files.find((candidate) => isAt(plain, candidate));
  return file && { file, kind: "file" };
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
}
