import fc from "fast-check";
import { seedOf } from "../../helpers/random.ts";
import { story } from "./arbitraries.ts";
import type { Stage, Story } from "./story.ts";
import { told } from "./told.ts";

/** How long a story that fails is made shorter. */
const SHRINK_MS = 60_000;

export interface Randomness {
  seed: number;
  runs: number;
  /** One story of a seed, as fast-check names it. */
  path: string | undefined;
}

/**
 * What the settings say of the random runs: ATELIER_RANDOM_RUNS stories in all (each runs the engine seven times or so), ATELIER_RANDOM_SEED and
 * ATELIER_RANDOM_PATH to see one again.
 * @param share this file's part of all the stories
 */
export function randomness(share: number, ownSeed: number): Randomness {
  const { ATELIER_RANDOM_RUNS = "320", ATELIER_RANDOM_PATH } = process.env;
  return {
    seed: seedOf(ownSeed),
    runs: Math.ceil(Number(ATELIER_RANDOM_RUNS) * share),
    path: ATELIER_RANDOM_PATH,
  };
}

/** @throws with the shortest story found that fails, and how to see it again */
export async function playRandomStories(stage: Stage, { seed, runs, path }: Randomness, file: string): Promise<void> {
  console.log(`${file}: ${runs} random stories, seed ${seed}`);
  const began = Date.now();
  let failed: number | undefined;
  const property = fc.asyncProperty(story, async (one: Story) => {
    // Shrinking ends when nothing fails any more.
    if (failed !== undefined && Date.now() - failed > SHRINK_MS) return;
    try {
      await stage.play(one);
    } catch (error) {
      failed ??= Date.now();
      throw error;
    }
  });
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    path,
    endOnFailure: process.env.ATELIER_RANDOM_SHRINK === "no",
  });
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  console.log(
    `${file}: ${stage.stories} stories, ${stage.runs} runs of the engine, ${stage.kills} killed, in ${seconds} s`,
  );
  if (!details.failed) return;
  const [shortest] = details.counterexample ?? [];
  const again = `ATELIER_RANDOM_SEED=${seed} ATELIER_RANDOM_PATH=${details.counterexamplePath} npm test -- ${file}`;
  throw new Error(
    `${String((details.errorInstance as Error | null)?.message)}\nThe story:\n${shortest ? told(shortest) : ""}\nAgain: ${again}`,
  );
}
