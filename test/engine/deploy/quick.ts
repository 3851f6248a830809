import type * as Crypto from "node:crypto";

/** For `vi.mock("node:crypto")`: a stack's key takes a second to make, and nobody here tries to guess it. One round will do. */
export function quickCrypto(): object {
  // An import here would be the very mock that this is for.
  const crypto: typeof Crypto = process.getBuiltinModule("node:crypto");
  const pbkdf2 = (
    password: Crypto.BinaryLike,
    salt: Crypto.BinaryLike,
    _rounds: number,
    bytes: number,
    digest: string,
    done: (error: Error | null, key: Buffer) => void,
  ): void => crypto.pbkdf2(password, salt, 1, bytes, digest, done);
  return { ...crypto, pbkdf2, default: { ...crypto, pbkdf2 } };
}

/** For `vi.mock` of the engine's `program.ts`: the program is in this process. */
export async function tinyProgram(original: () => Promise<object>): Promise<object> {
  const { prepareProgram, startTinyProgram } = await import("./tinyProgram.ts");
  return { ...(await original()), prepareProgram, startProgram: startTinyProgram };
}
