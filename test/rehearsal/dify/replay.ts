import { mkdtempSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { configOf } from "../../../rehearsal/dify/config.ts";
import { Dify } from "../../../rehearsal/dify/dify.ts";
import { makePackage } from "../../../rehearsal/dify/packages.ts";
import { serveDify } from "../../../rehearsal/dify/server.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { type LanguageModel, type SeenRequest, serveLanguageModel } from "../../../rehearsal/llm/server.ts";
import { Client, packageForm } from "./client.ts";
import { Comparison } from "./compare.ts";
import { app, type Exchange } from "./golden.ts";
import { StubMarketplace } from "./stub-marketplace.ts";
import { StubWebui } from "./stub-webui.ts";

/** Values that are a run's own wherever they stand. */
const own = [
  ...["pid", "size", "latency", "time_to_first_token", "time_to_generate", "elapsed_time", "timestamp"],
  ...["prompt_tokens", "completion_tokens", "total_tokens", "hash"],
  // What a language model says, and what is made of it.
  ...["answer", "prompt"],
];

/** What the recorded requests were sent to, and what the replay has in its place. */
export class Stage {
  readonly webui = new StubWebui();
  readonly marketplace = new StubMarketplace();
  model!: LanguageModel;
  readonly modelRequests: SeenRequest[] = [];
  readonly folders: string[] = [];
  comparison = new Comparison({}, own);
  dify!: Dify;
  client = new Client("");
  url = "";
  modelUrl = "";
  #servers: Server[] = [];
  #dify: Server | undefined;

  async start(): Promise<this> {
    await this.webui.start();
    await this.marketplace.start();
    const { server, port, model } = await serveLanguageModel({
      keys: ["sk-stub"],
      models: ["stub-model"],
      seen: (request) => this.modelRequests.push(request),
    });
    this.#servers.push(server);
    this.model = model;
    this.modelUrl = `http://127.0.0.1:${port}/v1`;
    const [closedWebui, closedModel, closedMarketplace] = [await freePort(), await freePort(), await freePort()];
    await this.startDify({ INIT_PASSWORD: "initpw-h2", MARKETPLACE_API_URL: `http://127.0.0.1:${closedMarketplace}` });
    this.comparison = new Comparison(
      {
        "http://127.0.0.1:15001": this.url,
        "127.0.0.1:17860": `127.0.0.1:${this.webui.port}`,
        "127.0.0.1:19999": `127.0.0.1:${port}`,
        "http://127.0.0.1:17999": `http://127.0.0.1:${closedWebui}`,
        "port=17999": `port=${closedWebui}`,
        "http://127.0.0.1:19998": `http://127.0.0.1:${closedModel}`,
        "port=19998": `port=${closedModel}`,
        "http://127.0.0.1:15002": "http://127.0.0.1:5002",
        "https://marketplace.dify.ai": `http://127.0.0.1:${closedMarketplace}`,
      },
      own,
    );
    return this;
  }

  /** Another Dify in the place of the last one. */
  async startDify(variables: Record<string, string>): Promise<void> {
    await close(this.#dify);
    const folder = mkdtempSync(join(tmpdir(), "atelier dify-"));
    this.folders.push(folder);
    const before = this.url;
    this.dify = new Dify(folder, configOf({ FORCE_VERIFYING_SIGNATURE: "false", ...variables }));
    const { server, port } = await serveDify(this.dify);
    this.#dify = server;
    this.url = `http://127.0.0.1:${port}`;
    Object.assign(this.dify.config, {
      consoleApiUrl: this.url,
      serviceApiUrl: this.url,
      appWebUrl: this.url,
      filesUrl: this.url,
    });
    this.client = new Client(this.url);
    this.comparison.known.set("http://127.0.0.1:15001", this.url);
    if (before) this.comparison.known.delete(before);
  }

  /** Sends a recorded request, with what stands for its ids here; gives the differences. */
  async replay(exchange: Exchange): Promise<string[]> {
    const path = this.comparison.translated(exchange.path.replaceAll("%3A", ":").replaceAll("%40", "@"));
    const { status, body, cookies } = await this.client.call(exchange.method, path, {
      headers: this.#headers(exchange),
      ...this.#body(exchange),
    });
    const shape = this.comparison.differences(exchange.resp, body);
    return [
      ...(status === exchange.status ? [] : [`status ${exchange.status} there, ${status} here`]),
      ...cookieDifferences(exchange.set_cookie ?? [], cookies),
      ...shape,
    ];
  }

  #headers({ req_headers: recorded }: Exchange): Record<string, string> {
    const headers: Record<string, string> = {};
    if (recorded["X-CSRF-Token"]) headers["X-CSRF-Token"] = this.client.cookies.get("csrf_token") ?? "";
    if (recorded["X-App-Code"]) headers["X-App-Code"] = this.comparison.translated(recorded["X-App-Code"]);
    const { Authorization: login } = recorded;
    if (login)
      headers.Authorization =
        login.startsWith("Bearer eyJ") && !this.comparison.known.has(login.slice(7))
          ? `Bearer ${this.client.cookies.get("access_token")}`
          : this.comparison.translated(login);
    return headers;
  }

  #body(exchange: Exchange): { json?: unknown; form?: FormData } {
    const { body } = exchange;
    if (body === null) return {};
    if (typeof body === "string") return { form: packageForm(packageFor(exchange.note)) };
    const recorded = body as Record<string, unknown>;
    const dsl = typeof recorded.yaml_content === "string" ? dslFor(exchange, recorded.yaml_content) : undefined;
    const text = this.comparison.translated(
      JSON.stringify(dsl === undefined ? body : { ...recorded, yaml_content: dsl }),
    );
    return { json: JSON.parse(text) };
  }

  async stop(): Promise<void> {
    await this.webui.stop();
    await this.marketplace.stop();
    for (const server of [...this.#servers, this.#dify]) await close(server);
  }
}

async function close(server: Server | undefined): Promise<void> {
  if (!server) return;
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
}

/** Names and attributes: values and times are each run's own. */
function cookieDifferences(theirs: string[], ours: string[]): string[] {
  const form = (cookies: string[]) =>
    cookies.map((cookie) => cookie.replace(/=[^;]*/, "").replace(/Expires=[^;]*/, "Expires")).toSorted();
  const [there, here] = [form(theirs), form(ours)];
  return there.join() === here.join() ? [] : [`cookies ${there.join(", ")} there, ${here.join(", ")} here`];
}

/** The packages of the recording are not at hand: the stand-in's own, signed or not as theirs were. */
function packageFor(note: string): Uint8Array {
  if (note === "upload garbage") return Buffer.from("no zip at all");
  const signed = note.includes("signed") && !note.includes("unsigned");
  if (note === "again") return makePackage("stablediffusion");
  if (note.includes("openai_api_compatible")) return makePackage("openai_api_compatible", { signed });
  if (note === "upload same version other checksum")
    return makePackage("stablediffusion", { signed: false, readme: "packed by somebody else" });
  return makePackage("stablediffusion", { signed });
}

/** The whole of a DSL that the recording has cut short: one of the three files, with what was changed in it. */
function dslFor({ note }: Exchange, recorded: string): string {
  if (!/…\[\d+ chars\]$/.test(recorded)) return recorded;
  const name = /\n {2}mode: ([\w-]+)/.exec(recorded)?.[1] ?? "";
  const file = { "agent-chat": "agent", "advanced-chat": "chatflow", workflow: "workflow" }[name] ?? "";
  const dsl = parse(app(file));
  dsl.app.description = /^app:\n {2}description: (.*)/.exec(recorded)?.[1];
  if (file === "chatflow") {
    const nodes = dsl.workflow.graph.nodes as { id: string; data: Record<string, unknown> }[];
    const data = (id: string) => nodes.find((node) => node.id === id)?.data ?? {};
    (data("llm").prompt_template as object[]).push({ id: "usr1", role: "user", text: "{{#sys.query#}}" });
    if (note === "overwrite chatflow by app_id")
      (data("sd").tool_configurations as Record<string, { value: number }>).steps!.value = 30;
  }
  const version = /newer DSL minor/.test(note)
    ? "0.9.0"
    : /newer DSL major/.test(note)
      ? "1.0.0"
      : /older DSL ([\d.]+)/.exec(note)?.[1];
  if (version) dsl.version = version;
  for (const [type, identifier] of recorded.matchAll(/plugin_unique_identifier: (\S+)/g)) {
    const known = (dsl.dependencies as { value: Record<string, string> }[]).some(({ value }) =>
      Object.values(value).includes(identifier ?? ""),
    );
    if (known || !identifier) continue;
    const marketplace = recorded.includes(`marketplace_${type}`);
    const key = marketplace ? "marketplace_plugin_unique_identifier" : "plugin_unique_identifier";
    dsl.dependencies.push({
      current_identifier: null,
      type: marketplace ? "marketplace" : "package",
      value: { [key]: identifier, version: null },
    });
  }
  return stringify(dsl);
}
