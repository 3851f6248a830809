import { mkdtempSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PassphraseSecrets } from "@atelier/engine/secrets";
import { expect, test } from "vitest";
import { StateSecrets } from "../../../scripts/cli/engines/stateSecrets.ts";

test("a secret that a state held for a moment is masked from then on", async () => {
  const dir = mkdtempSync(join(tmpdir(), "atelier-state-"));
  const secrets = await PassphraseSecrets.create("correct-horse");
  const file = join(dir, "stacks", "dev.json");
  const watched = new StateSecrets(file, "correct-horse");
  /** Writes a state that holds these secrets, as the CLI does: beside, then renamed. */
  const write = (beside: string, values: unknown[], padding = "") => {
    const resources = values.map((value) => ({
      inputs: {
        stdin: { "4dabf18193072939515e22adb298388d": "s", ciphertext: secrets.encryptValue(JSON.stringify(value)) },
      },
    }));
    const latest = { secrets_providers: { type: "passphrase", state: { salt: secrets.salt } }, resources, padding };
    writeFileSync(beside, JSON.stringify({ version: 3, checkpoint: { latest } }));
  };
  const save = (...values: unknown[]) => {
    write(`${file}.new`, values);
    renameSync(`${file}.new`, file);
  };
  try {
    const text = "of pending-secret, nested-secret and 1b47061264138c4ac30d75fd1eb44270";
    expect(await watched.mask({ text }, { certain: false })).toEqual({ text });
    const written = new Promise<void>((done) => {
      const own = watch(dirname(file), (_, name) => {
        if (name !== basename(file)) return;
        own.close();
        done();
      });
    });
    save("pending-secret", {
      deep: ["nested-secret", { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" }],
    });
    // It hears of it where this hears of it, and may put its reading off for as long as five of its readings take.
    await written;
    await sleep(1000);
    save();
    expect(await watched.mask({ text }, { certain: false })).toEqual({
      text: "of [secret], [secret] and 1b47061264138c4ac30d75fd1eb44270",
    });
    // Of a large state the next reading is put off; what a command prints is not told before it.
    const padding = "x".repeat(30_000_000);
    write(`${file}.1`, [], padding);
    write(`${file}.2`, ["printed-secret"], padding);
    renameSync(`${file}.1`, file);
    await watched.mask({}, { certain: true });
    renameSync(`${file}.2`, file);
    expect(await watched.mask({ text: "printed-secret" }, { certain: true })).toEqual({ text: "[secret]" });
  } finally {
    watched.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
