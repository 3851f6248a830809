import { afterAll, describe, test, vi } from "vitest";
import { playRandomStories, randomness } from "./randomStories.ts";
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

describe("slow", () => {
  test("random programs with random faults, the first half", { timeout: 3_600_000 }, () =>
    playRandomStories(stage, randomness(0.475, 1), "test/engine/random/stories1.slow.test.ts"),
  );
});
