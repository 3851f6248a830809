import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll } from "vitest";
import {
  destroy,
  type EngineEvent,
  type EngineOptions,
  preview,
  refresh,
  type UpdateResult,
  up,
} from "../../../engine/src/index.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const OPERATIONS = { preview, up, refresh, destroy };
const made: string[] = [];

afterAll(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
});

type Checkpoint = {
  checkpoint: {
    latest: { resources?: StoredResource[]; pending_operations?: { type: string; resource: StoredResource }[] };
  };
};
export type StoredResource = Record<string, unknown> & { urn: string; type: string };

export interface Outcome extends UpdateResult {
  events: EngineEvent[];
  /** `create a`, in the order of the events; default providers are not shown. */
  steps: string[];
  /** The errors' texts. */
  errors: string[];
}

/** A project of its own in a temporary folder, with one of the tiny programs. */
export class Workspace {
  readonly dir: string;
  readonly stack: string;
  readonly project: string;
  readonly #program: string;
  readonly #stateDir: string;

  /** @param stateDir where the state lies. @default a folder of its own */
  constructor(program: string, project = "tiny", stateDir?: string, stack = "dev") {
    this.stack = stack;
    this.#program = program;
    this.dir = mkdtempSync(join(tmpdir(), "engine-test-"));
    made.push(this.dir);
    this.project = project;
    this.write(
      "Pulumi.yaml",
      `name: ${project}\nruntime:\n  name: nodejs\n  options:\n    typescript: false\nmain: index.ts\n`,
    );
    this.write("package.json", JSON.stringify({ type: "module" }));
    cpSync(join(import.meta.dirname, "..", "programs", program), join(this.dir, "index.ts"));
    symlinkSync(join(ROOT, "node_modules"), join(this.dir, "node_modules"));
    this.#stateDir = stateDir ?? join(this.dir, "state");
    mkdirSync(this.#stateDir, { recursive: true });
  }

  /** The same project in another folder, with the same state. */
  copy(): Workspace {
    return new Workspace(this.#program, this.project, this.#stateDir);
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(join(this.dir, name)), { recursive: true });
    writeFileSync(join(this.dir, name), text);
  }

  get backend(): string {
    return pathToFileURL(this.#stateDir).href;
  }

  get stateFile(): string {
    return join(this.#stateDir, ".pulumi", "stacks", this.project, `${this.stack}.json`);
  }

  options(more: Partial<EngineOptions> = {}): EngineOptions {
    return {
      projectDir: this.dir,
      stack: this.stack,
      backend: this.backend,
      passphrase: async () => "correct-horse",
      cacheDir: join(tmpdir(), "engine-test-compile-cache"),
      ...more,
    };
  }

  async run(kind: "preview" | "up" | "refresh" | "destroy", more: Partial<EngineOptions> = {}): Promise<Outcome> {
    const events: EngineEvent[] = [];
    const result = await OPERATIONS[kind](
      this.options({
        ...more,
        onEvent: (event) => {
          events.push(event);
          more.onEvent?.(event);
        },
      }),
    );
    const steps = events.flatMap((event) => {
      const metadata = event.resourcePreEvent?.metadata;
      return metadata === undefined ? [] : [`${metadata.op} ${nameOf(metadata.urn)}`];
    });
    const errors = result.diagnostics.filter((event) => event.severity === "error").map((event) => event.message);
    return {
      ...result,
      events,
      steps: steps.filter((step) => !step.endsWith(` ${this.project}-${this.stack}`)),
      errors,
    };
  }

  checkpoint(): Checkpoint["checkpoint"]["latest"] {
    return (JSON.parse(readFileSync(this.stateFile, "utf8")) as Checkpoint).checkpoint.latest;
  }

  resources(): StoredResource[] {
    return this.checkpoint().resources ?? [];
  }

  resource(name: string): StoredResource {
    const found = this.resources().filter((state) => nameOf(state.urn) === name);
    if (found.length !== 1) throw new Error(`${found.length} resources are named ${name}`);
    return found[0] as StoredResource;
  }
}

export function nameOf(urn: string): string {
  return urn.slice(urn.lastIndexOf("::") + 2);
}

/** The settings of the program `spec.ts`. */
export function spec(...entries: object[]): Pick<EngineOptions, "config"> {
  return { config: { spec: JSON.stringify(entries) } };
}
