import { createHash } from "node:crypto";

/**
 * Label of whatever a stack makes on a Docker engine: it tells this stack from another copy of it, which has the same names and
 * another state. Made of what only the state has, so that a clone that shares the state has the same one.
 */
export const fingerprintLabel = "atelier.fingerprint";

/** Of a text of some length made by chance: it tells nothing of it. */
export const fingerprintOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
