import { afterAll, test, vi } from "vitest";
import { EMPTY, type Entry } from "./model.ts";
import { type Chapter, QUIET, Stage, type Story } from "./story.ts";

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
  "what was left unfinished is known to be so after a refresh, and the next update finishes it",
  [{ kind: "plain", secret: 0 }],
  { faults: [{ on: "create", nth: 0, mode: "half" }] },
  { operation: "refresh" },
);

tells(
  "what goes along with another leans on nothing that has gone before, and its provider stays for it",
  [
    {},
    { links: [{ to: 0, of: "id", hard: true }] },
    { kind: "provider" },
    {},
    { inside: 3, links: [{ to: 1, of: "id", hard: true }], provider: 2 },
  ],
  {},
  { operation: "destroy", faults: [{ on: "delete", nth: 1, mode: "fail" }], parallel: 1 },
  { operation: "destroy" },
);

tells(
  "while a renamed resource is changed, what leans on it still finds it in the state",
  [{}, { links: [{ to: 0, of: "id", hard: false }] }],
  {},
  {
    changes: [
      { kind: "rename", at: 0, value: 0 },
      { kind: "n", at: 0, value: 0 },
    ],
  },
);

tells(
  "an input that has become a secret stays one through a refresh",
  [{}, { links: [{ to: 0, of: "out", hard: false }] }],
  {},
  { changes: [{ kind: "hide", at: 0, value: 0 }] },
);

tells(
  "what is deleted for the sake of another is made anew only when it is gone, also where it leans on that no more",
  [
    { kind: "solo" },
    { kind: "plain", links: [{ to: 0, of: "id", hard: true }] },
    { kind: "solo", links: [{ to: 1, of: "id", hard: true }] },
    {},
  ],
  {},
  {
    changes: [
      { kind: "last", at: 1, value: 0 },
      { kind: "fixed", at: 0, value: 0 },
    ],
    operation: "refresh",
  },
);

tells(
  "what would go along with one that is kept is deleted itself",
  [{ retain: true }, { inside: 0 }],
  {},
  { operation: "destroy" },
);

tells(
  "a secret that an update was cut off with is one after a refresh, also where its provider knows no secrets",
  [{}, { kind: "plain" }],
  {},
  {
    changes: [{ kind: "secret", at: 1, value: 0 }],
    faults: [{ on: "update", nth: 0, mode: "late" }],
    cut: { how: "kill", tick: 1000, torn: 0 },
  },
  { operation: "refresh" },
);

tells(
  "what was to go along with one that is gone by now leaves the state in the same update",
  [{ kind: "solo", replaceOnN: true }, { inside: 0 }],
  {},
  {
    changes: [
      { kind: "last", at: 0, value: 0 },
      { kind: "n", at: 1, value: 0 },
    ],
    parallel: 1,
  },
);

tells(
  "what a cut-off replacement has deleted leaves the state after what leans on it",
  [{ kind: "solo" }, { dependsOn: [0] }],
  {},
  { changes: [{ kind: "fixed", at: 0, value: 0 }], faults: [{ on: "create", nth: 0, mode: "fail" }] },
  { operation: "destroy" },
);

/** Renamed and replaced, and killed when the new one is in the state and what leans on the old one not yet made anew. */
const CUT_OFF_IN_RENAME: Partial<Chapter> = {
  changes: [
    { kind: "rename", at: 1, value: 0 },
    { kind: "fixed", at: 1, value: 0 },
  ],
  parallel: 1,
  cut: { how: "kill", tick: 21, torn: 2 },
};

tells(
  "what a cut-off replacement of a renamed one has left goes after what leans on it under the new name",
  [{ kind: "part" }, { parent: 0 }, { links: [{ to: 1, of: "id", hard: true }] }],
  {},
  CUT_OFF_IN_RENAME,
);

tells(
  "what lies in one that a cut-off replacement of a renamed one has left goes along with that, not with the new one",
  [{ kind: "solo" }, { links: [{ to: 0, of: "id", hard: true }] }, { inside: 1 }],
  {},
  CUT_OFF_IN_RENAME,
  { operation: "destroy", parallel: 1 },
);

tells(
  "renamed and replaced once more after that, what lies in the first goes along with the first",
  [{ kind: "solo" }, { links: [{ to: 0, of: "id", hard: true }] }, { inside: 1 }],
  {},
  CUT_OFF_IN_RENAME,
  { changes: CUT_OFF_IN_RENAME.changes ?? [], parallel: 1 },
);

tells(
  "what is kept waits for nothing that it lies in, and makes nothing wait for that",
  [
    {},
    {},
    { links: [{ to: 1, of: "id", hard: true }] },
    { inside: 1, links: [{ to: 0, of: "id", hard: false }] },
    { inside: 0, links: [{ to: 2, of: "id", hard: false }], retain: true },
  ],
  {},
);

tells(
  "what is condemned leans on a renamed resource by its new name, though a condemned one has the old name still",
  [{}, { inside: 0 }],
  {},
  { changes: [{ kind: "fixed", at: 0, value: 0 }], faults: [{ on: "delete", nth: 0, mode: "fail" }] },
  {
    changes: [
      { kind: "rename", at: 0, value: 0 },
      { kind: "fixed", at: 1, value: 0 },
    ],
  },
);
