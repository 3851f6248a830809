import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { emptySnapshot } from "../../../engine/src/checkpoint.ts";
import { SnapshotManager } from "../../../engine/src/deploy/steps/snapshotManager.ts";
import type { ResourceState } from "../../../engine/src/resource.ts";

function state(name: string): ResourceState {
  const urn = `urn:pulumi:s::p::a:b:C::${name}`;
  return {
    urn,
    type: "a:b:C",
    custom: true,
    id: name,
    inputs: {},
    outputs: {},
    dependencies: [],
    propertyDependencies: {},
  };
}

/** A file of which every write takes a while; `written` has what each of them held. */
function slowFile(ms: number) {
  const written: string[] = [];
  const manager = new SnapshotManager(emptySnapshot(), async ({ resources, pendingOperations }) => {
    await sleep(ms);
    written.push(
      `${resources.map(({ id }) => id).join()}|${pendingOperations.map(({ resource }) => resource.id).join()}`,
    );
  });
  return { manager, written };
}

test("while others are at work, a state that takes long to write is written once for all that come soon", async () => {
  const { manager, written } = slowFile(40);
  const [a, b] = [state("a"), state("b")];
  const first = await manager.begin("creating", a);
  const second = manager.begin("creating", b);
  // Later than the moment, and sooner than twice the time of the write before.
  const end = sleep(10).then(() => manager.end(first, () => manager.done(undefined, a)));
  await Promise.all([second, end]);
  expect(written).toEqual(["|a", "a|b"]);
});

test("nobody is waited for when all that are at work have ended", async () => {
  const { manager, written } = slowFile(40);
  const [a, b] = [state("a"), state("b")];
  const [first, second] = await Promise.all([manager.begin("creating", a), manager.begin("creating", b)]);
  // What is waited for by the clock alone is waited for without end.
  vi.spyOn(globalThis, "setTimeout").mockImplementation(() => ({}) as NodeJS.Timeout);
  try {
    const ends = [manager.end(first, () => manager.done(undefined, a))];
    await sleep(10);
    expect(written).toEqual(["|a,b"]);
    ends.push(manager.end(second, () => manager.done(undefined, b)));
    await Promise.race([Promise.all(ends), sleep(5000)]);
    expect(written).toEqual(["|a,b", "a,b|"]);
    await Promise.race([manager.begin("creating", state("c")), sleep(5000)]);
    expect(written.at(-1)).toBe("a,b|c");
  } finally {
    vi.restoreAllMocks();
  }
});

test("the time until there is a key is none that others wait for, and what comes meanwhile is written with it", async () => {
  const key = Promise.withResolvers<void>();
  const written: number[] = [];
  const waits: number[] = [];
  const manager = new SnapshotManager(
    emptySnapshot(),
    async ({ pendingOperations }) => {
      written.push(pendingOperations.length);
      waits.push(vi.mocked(setTimeout).mock.calls.length);
    },
    { ready: () => key.promise },
  );
  vi.spyOn(globalThis, "setTimeout");
  try {
    const first = manager.begin("creating", state("a"));
    await sleep(60);
    const second = manager.begin("creating", state("b"));
    key.resolve();
    await Promise.all([first, second]);
    await manager.begin("creating", state("c"));
    expect(written).toEqual([2, 3]);
    expect(waits).toEqual([0, 0]);
  } finally {
    vi.restoreAllMocks();
  }
});

test("a key that can't be made fails what needs it, and is asked for again", async () => {
  let wrong = true;
  let saves = 0;
  const ready = async () => {
    if (wrong) throw new Error("The passphrase does not open this stack's secrets.");
  };
  const manager = new SnapshotManager(emptySnapshot(), async () => void saves++, { ready });
  await expect(manager.begin("creating", state("a"))).rejects.toThrow("passphrase");
  await expect(manager.flush()).rejects.toThrow("passphrase");
  wrong = false;
  await manager.flush();
  expect(saves).toBe(1);
});

test("what has ended is in the file when it is told so", async () => {
  const { manager, written } = slowFile(40);
  const a = state("a");
  const operation = await manager.begin("creating", a);
  expect(written).toEqual(["|a"]);
  await manager.end(operation, () => manager.done(undefined, a));
  expect(written).toEqual(["|a", "a|"]);
});

test("what could not be written when it had ended is written at the end, and nothing of what could not begin", async () => {
  const written: string[] = [];
  let full = false;
  const manager = new SnapshotManager(emptySnapshot(), async ({ resources, pendingOperations }) => {
    if (full) throw new Error("ENOSPC: no space left on device");
    written.push(`${resources.map(({ id }) => id).join()}|${pendingOperations.length}`);
  });
  const a = state("a");
  const operation = await manager.begin("creating", a);
  full = true;
  await expect(manager.end(operation, () => manager.done(undefined, a))).rejects.toThrow("ENOSPC");
  await expect(manager.begin("creating", state("b"))).rejects.toThrow("ENOSPC");
  await expect(manager.flush()).rejects.toThrow("ENOSPC");
  full = false;
  await manager.flush();
  expect(written).toEqual(["|1", "a|0"]);
});
