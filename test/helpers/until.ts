import { setTimeout as sleep } from "node:timers/promises";

/** Guards against hanging, and nothing else: a busy machine may take a minute for what takes a quiet one a second. */
export const PATIENCE_MS = 240_000;

/**
 * Waits until something is so, by looking again and again.
 * @throws naming it, when it was not within `PATIENCE_MS`
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  said: () => string = () => "",
): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}${said()}`);
    await sleep(20);
  }
}
