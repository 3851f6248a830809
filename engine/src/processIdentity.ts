import { readFileSync, readlinkSync } from "node:fs";

/** A process of Linux, told from all others: by its number alone, another boot or another container has one of that number too. */
export interface ProcessIdentity {
  /** The kernel's random id of its boot. */
  boot: string;
  /** Where its number counts: what `/proc/self/ns/pid` names. */
  pidNamespace: string;
  /** Ticks from boot to its start: a clock that nobody sets. */
  start: number;
}

/** The namespace that a kernel starts with has this number on every machine. */
const INITIAL_NAMESPACE = "pid:[4026531836]";

/** This process; undefined where the system does not say. */
export function ownIdentity(): ProcessIdentity | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const start = startOf("self");
    return start === undefined ? undefined : { boot, pidNamespace: readlinkSync("/proc/self/ns/pid"), start };
  } catch {
    return undefined;
  }
}

/** What a file has for one; undefined: none. */
export function readIdentity(value: unknown): ProcessIdentity | undefined {
  const { boot, pidNamespace, start } = (value ?? {}) as Partial<ProcessIdentity>;
  return typeof boot === "string" && typeof pidNamespace === "string" && typeof start === "number"
    ? { boot, pidNamespace, start }
    : undefined;
}

/**
 * True only when it is certain that a process of a machine of this one's name has ended.
 * @param identity undefined: all that is known is its number
 */
export function hasEnded(pid: number, identity: ProcessIdentity | undefined): boolean {
  const own = ownIdentity();
  if (identity === undefined) {
    // A container sees none of its host's processes, and may have its name.
    return (own === undefined || own.pidNamespace === INITIAL_NAMESPACE) && !isThere(pid);
  }
  if (own === undefined) return false;
  if (identity.boot !== own.boot) {
    // The machine was started anew. Containers of two machines may have one name; machines that share a state should not.
    return identity.pidNamespace === INITIAL_NAMESPACE && own.pidNamespace === INITIAL_NAMESPACE;
  }
  // A namespace's number is given again only when all of its processes have ended.
  if (identity.pidNamespace !== own.pidNamespace) return false;
  if (!isThere(pid)) return true;
  const start = startOf(pid);
  return start !== undefined && start > identity.start;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It may belong to somebody else.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function startOf(pid: number | "self"): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before the last bracket may hold anything; the start is field 22.
    const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    return Number.isFinite(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}
