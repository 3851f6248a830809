import { spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Answers a request for a repository with git's own server program, `git http-backend`.
 * @param path what follows `/git`, with the leading slash
 * @param root the folder of the repositories
 */
export function serveGit(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  query: string,
  root: string,
) {
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      // The folder may belong to another user of this machine; git would refuse it as dubious.
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      CONTENT_LENGTH: request.headers["content-length"] ?? "",
      HTTP_CONTENT_ENCODING: headerText(request.headers["content-encoding"]),
      GIT_PROTOCOL: headerText(request.headers["git-protocol"]),
      REMOTE_ADDR: "127.0.0.1",
    },
  });
  // Whoever hangs up must not leave a git behind.
  response.once("close", () => child.kill());
  child.once("error", (error) => {
    if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain" });
    response.end(`git http-backend did not start: ${error.message}\n`);
  });
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);

  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    child.stdout.off("data", readHead);
    writeHead(response, head.subarray(0, end).toString());
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on("data", readHead);
  child.stdout.once("end", () => {
    if (!response.headersSent) response.writeHead(500).end("git http-backend answered nothing\n");
  });
}

/** CGI's head: `Status: 404 Not Found` is the status, the rest are headers. */
function writeHead(response: ServerResponse, head: string): void {
  let status = 200;
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}

const headerText = (value: string | string[] | undefined) => (Array.isArray(value) ? value.join(",") : (value ?? ""));
