import { afterAll, test, vi } from "vitest";
import type { Entry } from "./model.ts";
import { type Chapter, EMPTY, QUIET, Stage, type Story } from "./story.ts";

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

/** What random stories have once shown, as the shortest story that shows it. */
function tells(name: string, entries: Partial<Entry>[], ...chapters: Partial<Chapter>[]): void {
  const story: Story = {
    entries: entries.map((entry) => ({ ...EMPTY, ...entry })),
    fresh: [],
    chapters: chapters.map((chapter) => ({ ...QUIET, operation: "up", ...chapter })),
    tidy: false,
    refreshed: false,
  };
  test(name, () => stage.play(story));
}

tells("killed while it wrote its history, it leaves no half-written file for ever", [{}], {
  cut: { how: "kill", tick: 25, torn: 1 },
});

tells(
  "what goes along with another stays in the state as long as that is there",
  [{}, { inside: 0 }],
  {},
  { operation: "destroy", faults: [{ on: "delete", nth: 0, mode: "fail" }] },
);

tells(
  "what would go along with one that is kept is deleted itself",
  [{ retain: true }, { inside: 0 }],
  {},
  { operation: "destroy" },
);
