import { pbkdf2 as slow } from "node:crypto";

export * from "node:crypto";

/** A stack's key takes a second to make, and nobody here tries to guess it. One round will do. */
export const pbkdf2: typeof slow = (password, salt, _rounds, bytes, digest, done) =>
  slow(password, salt, 1, bytes, digest, done);
