import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../lib/files.ts";
import { Lies } from "../lib/lies.ts";
import type { Config } from "./config.ts";
import type { JsonObject } from "./json.ts";
import { type DifyLie, difyLies } from "./lies.ts";
import { type Fetch, fetchDirectly, fetchThrough } from "./outbound.ts";
import { emptyState, type State } from "./state.ts";
import { Vault } from "./vault.ts";

/** The one version that the stand-in knows. */
export const difyVersion = "1.14.2";
/** What the language model beside it is called. */
export const modelName = "rehearsal-llm";
export const dslVersion = "0.6.0";

/** An import that waits for its confirmation; the real one forgets it after 10 minutes, too. */
export interface PendingImport {
  yaml: string;
  version: string;
  until: number;
}

/** A stand-in Dify: its state, its settings, what it was told to do wrong, its way out. */
export class Dify {
  readonly dir: string;
  readonly config: Config;
  readonly state: State;
  /** Of the code that it runs: tells a new stand-in from an old one. */
  readonly fingerprint: string;
  readonly lies = new Lies<DifyLie>(difyLies);
  readonly #vault: Vault;
  /** How the plugins' requests leave. */
  readonly fetch: Fetch;
  readonly pendingImports = new Map<string, PendingImport>();
  /** App id to the dependencies of its last import. */
  readonly lastImports = new Map<string, { dependencies: JsonObject[]; until: number }>();

  /** @param dir holds `state.json` and the pictures */
  constructor(dir: string, config: Config, fingerprint = "") {
    this.fingerprint = fingerprint;
    this.dir = dir;
    this.config = config;
    this.#vault = new Vault(join(dir, "privkey"));
    const kept = existsSync(this.statePath) ? this.#vault.read(readFileSync(this.statePath, "utf8")) : undefined;
    this.state = { ...emptyState(), ...(kept as State | undefined) };
    this.fetch = config.pluginDaemonUrl ? fetchThrough(config) : fetchDirectly;
  }

  get statePath(): string {
    return join(this.dir, "state.json");
  }

  picturePath(id: string): string {
    return join(this.dir, "tools", `${id}.png`);
  }

  save(): void {
    writeWhole(this.statePath, `${this.#vault.write(this.state)}\n`, 0o600);
  }
}
