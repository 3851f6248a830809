import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Proof, parseProof } from "./result.ts";

/** Proofs that an update leaves behind it. */
type Kind = "smoke" | "dify";

const fileOf = (reportDir: string, kind: Kind) => join(reportDir, `failed-${kind}.json`);

/**
 * Keeps a proof that failed beside its pictures, for the report of the update that failed with it; once it holds, takes it away.
 * @param text the proof as it is printed, secrets masked
 */
export function keepFailed(reportDir: string, kind: Kind, ok: boolean, text: string): void {
  if (ok) {
    rmSync(fileOf(reportDir, kind), { force: true });
    return;
  }
  mkdirSync(reportDir, { recursive: true });
  const beside = `${fileOf(reportDir, kind)}.${process.pid}.part`;
  writeFileSync(beside, text);
  renameSync(beside, fileOf(reportDir, kind));
}

/** The last proof of a kind, where it failed. */
export function readFailed(reportDir: string, kind: Kind): Proof | undefined {
  try {
    return parseProof(readFileSync(fileOf(reportDir, kind), "utf8"));
  } catch {
    return undefined;
  }
}
