import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import {
  destroy,
  type EngineEvent,
  type EngineOptions,
  preview,
  refresh,
  type UpdateResult,
  up,
} from "../../../engine/src/index.ts";
import { standIns } from "./images.ts";

const root = resolve(import.meta.dirname, "../../..");
const operations = { preview, up, refresh, destroy };

export interface Outcome extends UpdateResult {
  /** `create dify-api`, in order. */
  steps: string[];
  errors: string[];
  events: EngineEvent[];
}
export interface Told {
  settings: object;
  /** What a rehearsal's dify.json would say. */
  facts?: object | null;
  mirrors?: string[];
  offline?: boolean;
  host?: object;
}

/** The model of whoever tells the stand-in no other. */
export const model = {
  provider: "ollama",
  name: "m",
  baseUrl: "http://llm.example:1",
  maxTokens: 4096,
  contextSize: 4096,
};

/** A program of a test, laid out as the project is. */
export class DifyWorkspace {
  readonly dir = mkdtempSync(join(tmpdir(), "atelier-dify-"));
  readonly stack: string;
  #told: Told = { settings: {} };

  constructor(stack = "t", program = "test/stacks/dify/program/index.ts") {
    this.stack = stack;
    for (const name of ["scripts", "images", "node_modules"]) symlinkSync(join(root, name), join(this.dir, name));
    mkdirSync(join(this.dir, "state"));
    mkdirSync(join(this.dir, "stacks"));
    symlinkSync(join(root, program), join(this.dir, "stacks", "index.ts"));
    writeFileSync(
      join(this.dir, "Pulumi.yaml"),
      "name: atelier\nruntime:\n  name: nodejs\n  options:\n    typescript: false\nmain: stacks/index.ts\n",
    );
    writeFileSync(join(this.dir, "package.json"), JSON.stringify({ type: "module" }));
  }

  tell(told: Told): void {
    this.#told = told;
  }

  get config(): Record<string, string> {
    const { settings, facts, mirrors = [], offline = false, host = {} } = this.#told;
    const standIn = {
      kind: "containers",
      model,
      plugins: { "langgenius/stablediffusion": "/a", "langgenius/ollama": "/b" },
      images: standIns,
    };
    const told = { settings, facts: facts === undefined ? standIn : facts, mirrors, offline, host };
    return Object.fromEntries(Object.entries(told).map(([key, value]) => [`atelier:${key}`, JSON.stringify(value)]));
  }

  get backend(): string {
    return pathToFileURL(join(this.dir, "state")).href;
  }

  get stateFile(): string {
    return join(this.dir, "state", ".pulumi", "stacks", "atelier", `${this.stack}.json`);
  }

  get state(): string {
    return readFileSync(this.stateFile, "utf8");
  }

  async run(kind: keyof typeof operations, more: Partial<EngineOptions> = {}): Promise<Outcome> {
    const events: EngineEvent[] = [];
    const result = await operations[kind]({
      projectDir: this.dir,
      stack: this.stack,
      backend: this.backend,
      passphrase: async () => "correct-horse",
      cacheDir: join(tmpdir(), "engine-test-compile-cache"),
      config: this.config,
      ...more,
      onEvent: (event) => {
        events.push(event);
        more.onEvent?.(event);
      },
    });
    const steps = events.flatMap(({ resourcePreEvent }) => {
      const metadata = resourcePreEvent?.metadata;
      return metadata ? [`${metadata.op} ${metadata.urn.slice(metadata.urn.lastIndexOf("::") + 2)}`] : [];
    });
    const errors = result.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message);
    return { ...result, steps, errors, events };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
