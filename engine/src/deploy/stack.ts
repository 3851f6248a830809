import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { decodeCheckpoint, emptySnapshot, encodeCheckpoint, freshManifest, verifyIntegrity } from "../checkpoint.ts";
import type { OpType } from "../events.ts";
import type { EngineOptions, UpdateResult } from "../options.ts";
import type { Snapshot } from "../resource.ts";
import { PassphraseSecrets } from "../secrets.ts";
import type { Kind } from "./run.ts";

/** A stack opened for one operation: its project, its settings, its state. */
export interface Stack {
  name: string;
  project: { name: string; dir: string; main: string | undefined; nodeArgs: string[] };
  /** Plain values, keys `project:name`. */
  config: Record<string, { value: string; secret: boolean }>;
  snapshot: Snapshot;
  cacheDir: string;
  save(snapshot: Snapshot): Promise<void>;
  /** History and backup. */
  finish(
    kind: Kind,
    result: UpdateResult["result"],
    changes: Partial<Record<OpType, number>>,
    started: number,
    message: string,
  ): Promise<void>;
  /** Unlocks. */
  close(): Promise<void>;
}

export async function openStack(
  options: EngineOptions,
  _how: { lock: boolean; tell: (message: string) => void },
): Promise<Stack> {
  const yaml = parse(await readFile(join(options.projectDir, "Pulumi.yaml"), "utf8"));
  const name: string = yaml.name;
  const file = join(fileURLToPath(options.backend), ".pulumi", "stacks", name, `${options.stack}.json`);
  const text = await readFile(file, "utf8").catch(() => undefined);
  let secrets: PassphraseSecrets | undefined;
  let snapshot = emptySnapshot();
  if (text !== undefined) {
    const decoded = await decodeCheckpoint(text, async ({ salt }) =>
      PassphraseSecrets.open(await options.passphrase(), salt),
    );
    secrets = decoded.secrets;
    snapshot = decoded.snapshot;
    verifyIntegrity(snapshot);
  }
  secrets ??= await PassphraseSecrets.create(await options.passphrase());
  const config = Object.fromEntries(
    Object.entries(options.config ?? {}).map(([key, value]) => [
      key.includes(":") ? key : `${name}:${key}`,
      { value, secret: false },
    ]),
  );
  return {
    name: options.stack,
    project: { name, dir: options.projectDir, main: yaml.main, nodeArgs: [] },
    config,
    snapshot,
    cacheDir: options.cacheDir ?? join(tmpdir(), "node-compile-cache"),
    async save(current) {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(
        `${file}.new`,
        encodeCheckpoint({ ...current, manifest: freshManifest() }, { stack: options.stack, project: name, secrets }),
      );
      await rename(`${file}.new`, file);
    },
    async finish() {},
    async close() {},
  };
}
