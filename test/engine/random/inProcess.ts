import type { Monitor as RealMonitor } from "../../../engine/src/deploy/monitor/monitor.ts";
import { mortalFs } from "./disk.ts";
import { prepareProgram, startProgram } from "./inProcessProgram.ts";

const crypto = process.getBuiltinModule("node:crypto");

/** For `vi.mock("node:fs/promises")`: the file system, until the engine's process is killed. */
export const fileSystem = mortalFs;

/** For `vi.mock("node:crypto")`: a stack's key takes a second to make, and nobody here tries to guess it. One round will do. */
export function quickCrypto(): object {
  const pbkdf2: typeof crypto.pbkdf2 = (password, salt, _rounds, bytes, digest, done) =>
    crypto.pbkdf2(password, salt, 1, bytes, digest, done);
  return { ...crypto, pbkdf2, default: { ...crypto, pbkdf2 } };
}

/** For `vi.mock` of the engine's `program.ts`: the program is in this process. */
export function programs(actual: object): object {
  return { ...actual, prepareProgram, startProgram };
}

const monitors = new Set<RealMonitor>();

/** For `vi.mock` of the engine's `monitor.ts`: what serves a killed engine's program can be ended from outside. */
export function monitored(actual: { Monitor: typeof RealMonitor }): object {
  class Monitor extends actual.Monitor {
    constructor(host: ConstructorParameters<typeof RealMonitor>[0]) {
      super(host);
      monitors.add(this);
    }
    override close(): void {
      monitors.delete(this);
      super.close();
    }
  }
  return { ...actual, Monitor };
}

export function closeMonitors(): void {
  for (const monitor of monitors) monitor.close();
}
