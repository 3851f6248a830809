import { join } from "node:path";
import { newestOf, readState, STATE_ENDINGS } from "./stateFile.ts";

const CHECKPOINT = /\.checkpoint\.json(\.gz|\.zst)?$/;

/**
 * Refuses a stack whose state is gone while its history knows of resources: taken for a new one, all of them would be made a second time.
 * A stack that was removed or renamed has no history any more, though its `.bak` may still lie there.
 * @param base the state's file, without its ending
 * @param past the files of its history's folder
 * @throws with the latest copy, and the ways on
 */
export async function refuseLost(base: string, history: string, past: string[]): Promise<void> {
  const last = past
    .filter((file) => CHECKPOINT.test(file))
    .sort()
    .at(-1);
  if (last === undefined) return;
  // Of an update that was killed the history has nothing, but `.bak` its last state but one.
  const copy = await newestOf([...STATE_ENDINGS.map((ending) => `${base}${ending}.bak`), join(history, last)]);
  if (copy === undefined) return;
  const count = countResources(await readState(copy));
  if (count === 0) return;
  const file = `${base}.json${/\.(gz|zst)(?=\.bak$|$)/.exec(copy)?.[0] ?? ""}`;
  throw new Error(
    `The state file ${file} is gone, and this is no new stack: ${copy}, the latest copy, has ${count === undefined ? "" : `${count} `}resources. ` +
      `To go on, copy that to ${file}. If nothing of them exists any more, remove the folder ${history}, and the stack is a new one.`,
  );
}

/** Undefined: the copy can't be read. */
function countResources(text: string): number | undefined {
  try {
    const { checkpoint } = JSON.parse(text) as { checkpoint?: { latest?: { resources?: unknown[] } | null } };
    return checkpoint?.latest?.resources?.length ?? 0;
  } catch {
    return undefined;
  }
}
