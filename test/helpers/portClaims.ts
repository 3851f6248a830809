import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** For vitest, once a run: a port that one test has been given, and listens on only later, is given to no other. */
export default function claimPorts(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "atelier-ports-"));
  process.env.ATELIER_PORT_CLAIMS = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
