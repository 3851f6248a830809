import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineEvent } from "@atelier/engine/events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../helpers/until.ts";
import { Clone, nowhere } from "../clone.ts";

const none =
  spawnSync("pulumi", ["version"], { timeout: 20_000 }).status === 0 ? "" : " (skipped: no `pulumi` on PATH)";

/** Members of Pulumi's EngineEvent (sdk/go/common/apitype/events.go): those that are always there, and those that may be. */
const step = [["metadata"], ["planning"]];
const shapes: Record<string, string[][]> = {
  preludeEvent: [["config"], []],
  resourcePreEvent: step,
  resOutputsEvent: step,
  resOpFailedEvent: [["metadata", "status", "steps"], []],
  diagnosticEvent: [
    ["message", "color", "severity"],
    ["urn", "prefix", "streamID", "ephemeral"],
  ],
  summaryEvent: [["maybeCorrupt", "durationSeconds", "resourceChanges", "PolicyPacks", "isPreview", "result"], []],
  cancelEvent: [[], []],
};
const metadata = [
  ["op", "urn", "type", "old", "new", "detailedDiff", "provider"],
  ["keys", "diffs", "logical"],
];
const state = [
  ["type", "urn", "id", "parent", "inputs", "outputs", "provider"],
  ["custom", "delete", "protect", "taint", "external", "retainOnDelete", "initErrors", "hideDiffs"],
];

function expectShape(event: EngineEvent): void {
  const { sequence, timestamp, ...body } = event;
  expect(Number.isInteger(sequence) && Number.isInteger(timestamp)).toBe(true);
  const [[kind, content] = ["", {}]] = Object.entries(body);
  expect(Object.keys(body)).toEqual([kind]);
  expectMembers(kind, content, shapes[kind]);
  const told = (content as { metadata?: { old: object | null; new: object | null } }).metadata;
  if (told === undefined) return;
  expectMembers(`${kind}.metadata`, told, metadata);
  for (const side of [told.old, told.new]) if (side !== null) expectMembers(`${kind}.metadata.state`, side, state);
}

function expectMembers(where: string, object: object, shape: string[][] | undefined): void {
  const [always = [], sometimes = []] = shape ?? [];
  const keys = Object.keys(object);
  expect({ where, missing: always.filter((key) => !keys.includes(key)) }).toEqual({ where, missing: [] });
  expect({ where, strange: keys.filter((key) => ![...always, ...sometimes].includes(key)) }).toEqual({
    where,
    strange: [],
  });
}

const kindOf = ({ sequence: _, timestamp: __, ...body }: EngineEvent) => Object.keys(body)[0] ?? "";
const nameOf = (event: EngineEvent) =>
  (event.resourcePreEvent ?? event.resOutputsEvent ?? event.resOpFailedEvent)?.metadata.urn.split("::").at(-1);

describe.each(["embedded", `pulumi${none}`])("the events of %s, followed", (title) => {
  const engine = title.split(" ")[0] as string;
  const skip = engine === "pulumi" && none !== "";
  let clone: Clone;
  beforeAll(() => {
    if (skip) return;
    clone = new Clone();
    clone.settings("followed", { host: nowhere });
    clone.program(`
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
const gate = ${JSON.stringify(join(clone.dir, "gate"))};
const secret = pulumi.secret(["hunter2", "hunter2", "hunter2"].join("-"));
const first = new command.local.Command("first", { create: "echo one" });
new command.local.Command("second", {
  create: "cat >&2; n=0; while [ ! -e '" + gate + "' ] && [ $n -lt 2000 ]; do n=$((n+1)); sleep 0.1; done; [ -e '" + gate + "' ]",
  stdin: secret,
}, { dependsOn: [first] });
new command.local.Command("third", { create: "cat; exit 3", stdin: pulumi.interpolate\`told \${secret}\` }, { dependsOn: [first] });
`);
  });
  afterAll(() => clone?.remove());

  test.skipIf(skip)("while it runs, in Pulumi's shape, without a secret", async () => {
    const file = join(clone.dir, "events.jsonl");
    const read = (): EngineEvent[] =>
      existsSync(file)
        ? readFileSync(file, "utf8")
            .split("\n")
            .slice(0, -1)
            .map((line) => JSON.parse(line))
        : [];
    const up = clone.start(["up", "--stack", "followed", "--yes", "--engine", engine, "--events", file]);
    const made = (event: EngineEvent) =>
      event.resOutputsEvent && !event.resOutputsEvent.metadata.old && nameOf(event) === "first";
    await until("the first is made", () => read().some((event) => made(event) && !event.resOutputsEvent?.planning));
    // The second waits for what was heard of the first: without the events it would fail.
    expect(
      read().some((event) => nameOf(event) === "second" && event.resOutputsEvent && !event.resOutputsEvent.planning),
    ).toBe(false);
    writeFileSync(join(clone.dir, "gate"), "");
    const { code, stdout, stderr } = await up.finished;
    expect(code).toBe(1);

    const events = read();
    for (const event of events) expectShape(event);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n));
    const kinds = events.map(kindOf);
    // The plan, then the update, each from its prelude to its last word.
    const ends = kinds.flatMap((kind, n) => (kind === "cancelEvent" ? [n] : []));
    expect(ends).toHaveLength(2);
    expect(ends[1]).toBe(events.length - 1);
    expect(kinds.filter((kind) => kind === "preludeEvent")).toHaveLength(2);
    const summaries = events.map(({ summaryEvent }) => summaryEvent).filter((summary) => summary !== undefined);
    expect(summaries).toMatchObject([
      { isPreview: true, result: "succeeded", resourceChanges: { create: 4 } },
      { isPreview: false, result: "failed" },
    ]);
    expect(events.filter((event) => event.resOpFailedEvent).map(nameOf)).toEqual(["third"]);
    const said = events.map(({ diagnosticEvent }) => diagnosticEvent?.message ?? "").join("\n");
    expect(said).toContain("[secret]");
    expect(`${readFileSync(file, "utf8")}${stdout}${stderr}`).not.toContain("hunter2-hunter2");
  });
});
