import fc from "fast-check";

/**
 * Where a random test begins: ATELIER_RANDOM_SEED, of which `random` is another every time. Without one it is the test's own:
 * whether a commit passes is no matter of luck.
 */
export function seedOf(own: number): number {
  const { ATELIER_RANDOM_SEED = String(own) } = process.env;
  return ATELIER_RANDOM_SEED === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(ATELIER_RANDOM_SEED);
}

fc.configureGlobal({ seed: seedOf(1) });

/** fast-check, whose properties begin there. */
export { fc };
