import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { parseInput } from "../../healthchecks/input.ts";
import type { live } from "../../healthchecks/live.ts";
import type { Proof } from "../../healthchecks/result.ts";
import { Session } from "../../healthchecks/session.ts";
import { smoke } from "../../healthchecks/smoke.ts";
import { FakeWebui, type Lie, modelFile, modelSha256, password, user } from "./fake-webui.ts";

/** A folder that goes with the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "atelier-proof-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A fake WebUI that goes with the test, telling the given lies. */
export async function fake(lies: Record<string, Lie> = {}): Promise<FakeWebui> {
  const webui = await new FakeWebui().start();
  onTestFinished(() => webui.stop());
  Object.assign(webui.lies, lies);
  return webui;
}

/** For who gets its answers: they only guard against hanging. */
export const patient = { ready: 240, request: 240, picture: 240, total: 500 };

/** Good input for a fake at this URL, small and quick. */
export function inputFor(url: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    url,
    user,
    password,
    model: modelFile,
    modelSha256,
    width: 64,
    height: 64,
    steps: 2,
    sampler: "Euler a",
    reportDir: folder(),
    deadlines: { ...patient, crashed: 2 },
    ...more,
  };
}

export interface Outcome {
  proof: Proof;
  lines: string[];
  /** Details of the failed checks, by name. */
  failed: Record<string, string>;
}

/** Runs a proof in this process. */
export async function prove(input: Record<string, unknown>, run: typeof smoke | typeof live = smoke): Promise<Outcome> {
  const lines: string[] = [];
  const session = new Session(parseInput(JSON.stringify(input)), new AbortController().signal, (line) =>
    lines.push(line),
  );
  try {
    const proof = await run(session);
    const failed = Object.fromEntries(proof.checks.filter(({ ok }) => !ok).map(({ name, detail }) => [name, detail]));
    return { proof, lines, failed };
  } finally {
    await session.close();
  }
}
