import fc from "fast-check";
import { afterAll, test, vi } from "vitest";
import { story } from "./arbitraries.ts";
import { Stage } from "./story.ts";

vi.mock("node:fs/promises", async () => (await import("./inProcess.ts")).fileSystem());
vi.mock("node:crypto", async () => (await import("./inProcess.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./inProcess.ts")).programs(await original()),
);
vi.mock("../../../engine/src/deploy/monitor/monitor.ts", async (original) =>
  (await import("./inProcess.ts")).monitored(await original()),
);

const stage = new Stage();
afterAll(() => stage.close());

test("stories", { timeout: 3_600_000 }, async () => {
  const seed = Number(process.env.ATELIER_RANDOM_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const numRuns = Number(process.env.ATELIER_RANDOM_RUNS ?? 50);
  console.log("seed", seed);
  const t = Date.now();
  try {
    await fc.assert(
      fc.asyncProperty(story, (one) => stage.play(one)),
      { seed, numRuns, path: process.env.ATELIER_RANDOM_PATH, endOnFailure: process.env.NOSHRINK !== undefined },
    );
  } finally {
    console.log(stage.stories, "stories", stage.runs, "runs", stage.kills, "kills", Date.now() - t, "ms");
  }
});
