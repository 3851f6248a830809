import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { LanguageModel } from "../../llm/server.ts";
import { configOf } from "../config.ts";
import { Dify, modelName } from "../dify.ts";
import { serveDify } from "../server.ts";
import { proxy } from "./nginx.ts";
import { servePluginDaemon } from "./plugin-daemon.ts";
import { pingRedis, serveRedis } from "./redis.ts";

type Environment = Record<string, string | undefined>;

/** Where the language model's paths begin, at the API's address. */
export const modelPrefix = "/rehearsal/llm";

/** Each of Dify's services, as far as there is something to stand in for. */
export const roles = {
  api: async (environment: Environment) => {
    // The real one does not start without them, either.
    await pingRedis(environment);
    const storage = environment.REHEARSAL_STORAGE ?? "/app/api/storage";
    const dify = new Dify(join(storage, "rehearsal"), configOf(environment), environment.REHEARSAL_FINGERPRINT);
    const key = environment.REHEARSAL_MODEL_KEY ?? "";
    const model = new LanguageModel({ keys: key ? [key] : [], models: [modelName], prefix: modelPrefix });
    await serveDify(dify, { port: 5001, host: "0.0.0.0", model });
  },
  plugin_daemon: async (environment: Environment) => servePluginDaemon(environment.SERVER_KEY ?? "", 5002),
  nginx: async () => proxy({ api: "http://api:5001", web: "http://web:3000" }, 80),
  // Next listens on the address of this name alone, and Docker makes it the container's own: not on loopback then.
  web: async ({ HOSTNAME }: Environment) => servePages(3000, HOSTNAME || "0.0.0.0"),
  redis: async () => serveRedis("/etc/atelier/redis.conf", 6379),
  db: async () => serveNothing(5432),
  ssrf_proxy: async () => serveNothing(3128),
  sandbox: async () => serveHealth("/health", 8194),
  weaviate: async () => serveHealth("/v1/.well-known/ready", 8080),
  // Chats run in the API here; who looks after the worker hears from it.
  worker: async () => serveHealth("/ping", 5555),
  worker_beat: async () => void setInterval(() => {}, 60_000),
} satisfies Record<string, (environment: Environment) => Promise<unknown>>;

export type Role = keyof typeof roles;

export const isRole = (name: string): name is Role => name in roles;

/** Takes connections, and says nothing: that is all that a look at its port asks for. */
function serveNothing(port: number): Promise<void> {
  const server = createTcpServer((socket) => socket.on("error", () => {}).end());
  return new Promise((listens) => server.listen(port, "0.0.0.0", listens));
}

function serveHealth(path: string, port: number): Promise<void> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === path ? 200 : 404, { "Content-Type": "text/plain" });
    response.end(request.url === path ? "pong: REHEARSAL\n" : "REHEARSAL: there is nothing else here\n");
  });
  return new Promise((listens) => server.listen(port, "0.0.0.0", listens));
}

/** The pages for people; what they show they ask of the API themselves. */
function servePages(port: number, host: string): Promise<void> {
  const pages = join(import.meta.dirname, "..", "pages");
  const server = createServer((request, response) => {
    const name = /^\/(chat|workflow)\//.test(request.url ?? "") ? "chat.html" : "home.html";
    const path = join(pages, name);
    response.writeHead(existsSync(path) ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
    response.end(readFileSync(path));
  });
  return new Promise((listens) => server.listen(port, host, listens));
}
