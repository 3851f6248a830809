import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { configOf } from "../../rehearsal/dify/config.ts";
import { Dify } from "../../rehearsal/dify/dify.ts";
import { makePackage } from "../../rehearsal/dify/packages.ts";
import { serveDify } from "../../rehearsal/dify/server.ts";
import { LanguageModel } from "../../rehearsal/llm/server.ts";
import { runJob } from "../../scripts/dify/run.ts";
import { type AppRole, appDsl, appModes } from "../../stacks/dify/apps.ts";
import { modelItem } from "../../stacks/dify/model.ts";
import { Client } from "../rehearsal/dify/client.ts";
import { StubMarketplace } from "../rehearsal/dify/stub-marketplace.ts";

const script = resolve(import.meta.dirname, "../../scripts/dify/main.ts");

export const sdTool = "langgenius/stablediffusion/stablediffusion";
export const openai = "langgenius/openai_api_compatible/openai_api_compatible";
/** Everything that nobody may see. */
export const secrets = {
  password: "Adm1n-Passw0rd",
  initPassword: "init-pw-0123456789",
  // What a URL can't have before its @.
  webuiPassword: "p@ss:w/rd%!",
  modelKey: "sk-model-key-77",
};

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
  /** What it said on standard output. */
  // biome-ignore lint/suspicious/noExplicitAny: facts are what the tests are about
  facts: any;
}

type Input = Record<string, unknown>;

/** A stand-in Dify with its language model, a WebUI with a login, a marketplace; and the items that are made inside of it. */
export class World {
  readonly folder = mkdtempSync(join(tmpdir(), "atelier-dify-"));
  readonly marketplace = new StubMarketplace();
  readonly model = new LanguageModel({ keys: [secrets.modelKey], models: ["stub-model", "qwen3-8b"], prefix: "/llm" });
  /** Method and path of every request to Dify. */
  readonly asked: string[] = [];
  /** All that the items ever printed, but the facts of keys. */
  printed = "";
  webuiModels = ["v1-5-pruned-emaonly"];
  dify!: Dify;
  port = 0;
  webuiPort = 0;
  #server: Server | undefined;
  #webui: Server | undefined;

  async start(): Promise<this> {
    await this.marketplace.start();
    await this.serve(this.newDify());
    this.#webui = createServer((request, response) => {
      const login = `webui:${secrets.webuiPassword}`;
      const right = request.headers.authorization === `Basic ${Buffer.from(login).toString("base64")}`;
      const answer = right ? this.webuiModels.map((name) => ({ title: name, model_name: name })) : { detail: "no" };
      response.writeHead(right ? 200 : 401, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    });
    this.webuiPort = await listen(this.#webui);
    return this;
  }

  newDify(variables: Record<string, string> = {}): Dify {
    const made = mkdtempSync(join(this.folder, "dify-"));
    return new Dify(
      made,
      configOf({
        INIT_PASSWORD: secrets.initPassword,
        REHEARSAL_INSTALL_TIME: "0.1",
        MARKETPLACE_API_URL: this.marketplace.url,
        ...variables,
      }),
    );
  }

  /** Serves this Dify, or another one at the same port. */
  async serve(dify: Dify): Promise<void> {
    await this.#close(this.#server);
    this.dify = dify;
    this.model.options.seen = () => {};
    const { server, port } = await serveDify(dify, { port: this.port, model: this.model });
    server.on("request", ({ method, url }) => this.asked.push(`${method} ${url}`));
    [this.#server, this.port] = [server, port];
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A package as it would lie on this machine. */
  package(name: string, options: Parameters<typeof makePackage>[1] = {}): { path: string; sha256: string } {
    const bytes = makePackage(name, options);
    const path = join(this.folder, `${name}-${Object.values(options).join("-")}.difypkg`);
    writeFileSync(path, bytes);
    return { path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
  }

  login(changes: Input = {}): Input {
    const { password, initPassword } = secrets;
    return { url: this.url, email: "admin@example.com", password, initPassword, timeout: 120, ...changes };
  }

  get items() {
    const settings = {
      provider: "openai_api_compatible",
      name: "stub-model",
      baseUrl: `${this.url}/llm/v1`,
      maxTokens: 4096,
      contextSize: 32768,
    } as const;
    return {
      setup: { item: "setup" },
      sdPlugin: {
        item: "plugin",
        plugin: { id: "langgenius/stablediffusion", version: "0.0.7", package: this.package("stablediffusion") },
      },
      llmPlugin: {
        item: "plugin",
        plugin: {
          id: "langgenius/openai_api_compatible",
          version: "0.0.63",
          package: this.package("openai_api_compatible"),
        },
      },
      tool: {
        item: "tool",
        name: "atelier-t",
        plugin: "langgenius/stablediffusion",
        provider: sdTool,
        webui: { url: `http://127.0.0.1:${this.webuiPort}`, user: "webui", password: secrets.webuiPassword },
        model: "v1-5-pruned-emaonly",
      },
      model: {
        item: "model",
        name: "atelier-t",
        plugin: "langgenius/openai_api_compatible",
        ...modelItem(settings, secrets.modelKey),
      },
      agent: this.app("agent"),
      chatflow: this.app("chatflow"),
    } satisfies Record<string, Input>;
  }

  app(role: AppRole, { steps = 20, maxTokens = 4096, name = `Atelier ${role}` } = {}) {
    const drawing = { model: "v1-5-pruned-emaonly", width: 512, height: 512, steps };
    return {
      item: "app",
      owner: `t/${role}`,
      name,
      mode: appModes[role],
      dsl: appDsl(role, name, drawing, { provider: openai, name: "stub-model", maxTokens, thinking: {} }),
      plugins: [
        { id: "langgenius/stablediffusion", version: "0.0.7" },
        { id: "langgenius/openai_api_compatible", version: "0.0.63" },
      ],
      tool: { provider: sdTool, credential: "atelier-t" },
      minTokens: 0,
    };
  }

  /** Applies or removes one item, as its resource does. */
  async run(
    item: Input,
    what: "apply" | "remove" = "apply",
    { own = true, dify = {}, env = {} }: { own?: boolean; dify?: Input; env?: Record<string, string> } = {},
  ): Promise<Ran> {
    const { item: kind, ...rest } = item;
    const input = { ...rest, dify: this.login(dify), own, token: "" };
    const ran = await this.execute([String(kind), what], input, env);
    this.printed += kind === "key" ? ran.stderr : `${ran.stdout}${ran.stderr}`;
    return ran;
  }

  /** @throws with what it said when it failed */
  // biome-ignore lint/suspicious/noExplicitAny: facts are what the tests are about
  async apply(item: Input, options: Parameters<World["run"]>[2] = {}): Promise<any> {
    const { code, facts, stderr } = await this.run(item, "apply", options);
    if (code !== 0) throw new Error(`${item.item} ended with ${code}: ${stderr}`);
    return facts;
  }

  async applyAll(options: Parameters<World["run"]>[2] = {}): Promise<void> {
    for (const item of Object.values(this.items)) await this.apply(item, options);
  }

  async check(items: Record<string, Input> = this.items, { own = true, dify = {}, env = {} } = {}): Promise<Ran> {
    const ran = await this.execute(["check"], { dify: this.login(dify), own, items }, env);
    this.printed += `${ran.stdout}${ran.stderr}`;
    return ran;
  }

  /** In this process: a start of Node would take longer than what it does. */
  async execute(args: string[], input: unknown, env: Record<string, string> = {}): Promise<Ran> {
    // Read where it is wanted, deep inside.
    if (env.ATELIER_HOME !== undefined || env.ATELIER_BUNDLE !== undefined) return this.spawn(args, input, env);
    let stderr = "";
    const { code, facts } = await runJob({
      args,
      input: async () => (typeof input === "string" ? input : JSON.stringify(input)),
      env,
      print: (line) => {
        stderr += `${line}\n`;
      },
    });
    return { code, stdout: code === 0 ? `${JSON.stringify(facts)}\n` : "", stderr, facts };
  }

  /** As a command of the stack runs it. */
  spawn(args: string[], input: unknown, env: Record<string, string> = {}): Promise<Ran> {
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: 540_000,
    });
    const told = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      told.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      told.stderr += text;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(typeof input === "string" ? input : JSON.stringify(input));
    return new Promise((done) => {
      child.on("close", (code) => done({ code, ...told, facts: told.stdout ? JSON.parse(told.stdout) : undefined }));
    });
  }

  /** Somebody at Dify's console. */
  user(): Promise<Client> {
    return new Client(this.url).logIn("admin@example.com", secrets.password);
  }

  async stop(): Promise<void> {
    await this.#close(this.#server);
    await this.#close(this.#webui);
    await this.marketplace.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #close(server: Server | undefined): Promise<void> {
    if (!server) return;
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

const listen = async (server: Server): Promise<number> => {
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  return (server.address() as AddressInfo).port;
};
