import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineEvent } from "@atelier/engine/events";
import { describe, expect, test } from "vitest";
import { PlainDisplay } from "../../../scripts/cli/display/plain.ts";
import { planLines } from "../../../scripts/cli/display/plan.ts";
import { RecordDisplay } from "../../../scripts/cli/display/record.ts";
import { widthOf } from "../../../scripts/cli/display/text.ts";
import { TtyDisplay } from "../../../scripts/cli/display/tty.ts";
import { done, failed, fakeTerminal, says, screenOf, start } from "./recorded.ts";

/** One `up` of the official CLI: a replacement by trigger, an update, six resources unchanged. */
const recorded = readFileSync(join(import.meta.dirname, "up.events.jsonl"), "utf8")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line) => JSON.parse(line) as EngineEvent);

describe("events of the official CLI", () => {
  test("plain", () => {
    const terminal = fakeTerminal();
    const display = new PlainDisplay(terminal);
    for (const event of recorded) display.event(event);
    display.end();
    expect(terminal.text()).toMatchInlineSnapshot(`
      "warning: using pulumi-resource-command from $PATH at /demo/bin/pulumi-resource-command
      warning: using pulumi-resource-docker from $PATH at /demo/bin/pulumi-resource-docker
      ± p-local replaced (0.0 s)
      warning: p-remote: Unable to set 'PULUMI_COMMAND_STDOUT'. This only works if your SSH server is configured to accept
          these variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could
          prefix the command itself with the variables in the form 'VAR=value command'
      ~ p-remote updated (0.0 s)
      - p-local old one deleted (0.0 s)
      "
    `);
  });

  test("plan", () => {
    const display = new RecordDisplay();
    for (const event of recorded) display.event(event);
    expect(planLines(display.steps, fakeTerminal()).join("\n")).toMatchInlineSnapshot(`
      "  ± p-local   replace: environment.WHO, triggers[0]
        ~ p-remote  update: create
      Plan: 1 to update, 1 to replace, 5 unchanged."
    `);
    expect(display.record.changes).toEqual({ create: 0, update: 1, replace: 1, delete: 0, unchanged: 5 });
  });
});

test("a plan leaves out the differences that the program wants left out", () => {
  const display = new RecordDisplay();
  const event = start("p-local", "update", 1, ["create", "environment.A", "environment.B"]);
  const { metadata } = event.resourcePreEvent ?? {};
  if (metadata === undefined) throw new Error("no step");
  const state = { urn: metadata.urn, type: metadata.type, id: "x", parent: "", provider: "", inputs: {}, outputs: {} };
  metadata.new = { ...state, hideDiffs: ["environment.A"] };
  display.event(event);
  expect(planLines(display.steps, fakeTerminal())[0]).toContain("update: create, environment.B");
});

test("a plan without changes says what was found out of place in Dify, whole", () => {
  const display = new RecordDisplay();
  const edited = `dify-agent was edited in Dify's console, and is left as it is (--force overwrites): ${"pre_prompt ".repeat(12)}`;
  display.event(start("dify-facts", "same", 1));
  display.event(says("dify-facts", `dify-facts: ${edited}`, 1));
  display.event(says("dify-facts", `dify-facts: ${edited}`, 1));
  display.event(done("dify-facts", "same", 2));
  expect(planLines(display.steps, fakeTerminal())).toEqual([
    "Dify is not as the settings have it:",
    `  ${edited}`,
    "Plan: no changes, 1 resource.",
  ]);
});

test("a plan that deletes Dify's volumes says what is in them", () => {
  const display = new RecordDisplay();
  const above = "urn:pulumi:t::atelier::atelier:dify:Dify$";
  for (const [type, name] of [
    ["docker:index/volume:Volume", "dify-db-data"],
    ["docker:index/network:Network", "dify-net"],
  ] as const) {
    const event = start(name, "delete", 1);
    const { metadata } = event.resourcePreEvent ?? {};
    if (metadata === undefined) throw new Error("no step");
    display.event({ ...event, resourcePreEvent: { metadata: { ...metadata, type, urn: `${above}${type}::${name}` } } });
  }
  expect(planLines(display.steps, fakeTerminal()).slice(-2)).toEqual([
    "Deleted with Dify's accounts, chats and apps in them: dify-db-data.",
    "Plan: 2 to delete.",
  ]);
});

test("what a Docker engine has lost, and what a quick step wants to be read, is shown too", () => {
  const display = new RecordDisplay();
  display.event(start("docker-facts", "update", 1));
  display.event(says("docker-facts", "docker-facts: there is no container atelier-t", 1));
  display.event(says("dify-docker-facts", "dify-docker-facts: images is not in place", 1));
  display.event(start("dify-agent", "delete", 1));
  display.event(says("dify-agent", "note: `A` was there before: it stays\n", 1));
  display.event(done("dify-agent", "delete", 1));
  expect(display.steps.findings).toEqual({
    host: ["there is no container atelier-t"],
    dify: ["images is not in place"],
  });
  expect(display.steps.problems).toEqual([
    { severity: "warning", name: "dify-agent", lines: ["`A` was there before: it stays"] },
  ]);
});

describe("on a terminal", () => {
  const settings = { idle: "working", interval: 60_000, now: () => 112.3 };

  test("what ended stays above what runs", () => {
    const terminal = fakeTerminal();
    const display = new TtyDisplay(terminal, settings);
    display.event(start("sources", "create", 100));
    display.event(start("models", "create", 101));
    display.event(says("models", "models 41 % 62 MB/s, 38 s left\n", 105));
    display.event(done("sources", "create", 107.5));
    display.draw();
    expect(screenOf(terminal.text()).join("\n")).toMatchInlineSnapshot(`
      "✓ sources                       7.5 s  created
      ⠙ models                       11.3 s  models 41 % 62 MB/s, 38 s left"
    `);
    display.end();
    expect(screenOf(terminal.text())).toHaveLength(1);
    expect(terminal.text().endsWith("\x1b[?25h")).toBe(true);
  });

  test("a failed step is marked, and a warning is shown at once", () => {
    const terminal = fakeTerminal();
    const display = new TtyDisplay(terminal, settings);
    display.event(start("wheels", "update", 100));
    display.event(says("wheels", "a mirror did not answer", 101, "warning"));
    display.event(failed("wheels", "update", 103));
    display.end();
    expect(screenOf(terminal.text()).join("\n")).toMatchInlineSnapshot(`
      "warning: wheels: a mirror did not answer
      ✗ wheels                        3.0 s  failed"
    `);
  });

  test("200 resources in 40 columns and 24 rows", () => {
    const terminal = fakeTerminal({ columns: 40, rows: 24 });
    const display = new TtyDisplay(terminal, settings);
    for (let n = 0; n < 200; n++) {
      display.event(start(`a-resource-with-a-rather-long-name-${n}`, "create", 100));
      display.event(says(`a-resource-with-a-rather-long-name-${n}`, "下载中 ".repeat(20), 101));
    }
    display.draw();
    const running = screenOf(terminal.text());
    expect(running.length).toBeLessThan(24);
    expect(running.at(-1)).toBe("  … and 189 more");
    for (let n = 0; n < 200; n++) display.event(done(`a-resource-with-a-rather-long-name-${n}`, "create", 110));
    display.end();
    const lines = screenOf(terminal.text());
    expect(lines).toHaveLength(200);
    for (const line of [...running, ...lines]) expect(widthOf(line)).toBeLessThan(40);
  });

  test("a terminal of 10 columns", () => {
    const terminal = fakeTerminal({ columns: 10, rows: 3 });
    const display = new TtyDisplay(terminal, settings);
    display.event(start("sources", "create", 100));
    display.event(start("models", "create", 100));
    display.draw();
    expect(screenOf(terminal.text()).length).toBeLessThanOrEqual(3);
    display.end();
  });
});

describe("plain", () => {
  test("a long step is heard of every ten seconds, with --verbose always", () => {
    const heard = (verbose: boolean) => {
      const terminal = fakeTerminal();
      const display = new PlainDisplay(terminal, { verbose });
      display.event(start("models", "create", 0));
      for (let second = 2; second <= 30; second += 2) display.event(says("models", `models ${second} %`, second));
      return terminal.text().trimEnd().split("\n");
    };
    expect(heard(false)).toEqual(["  models: models 10 %", "  models: models 20 %", "  models: models 30 %"]);
    expect(heard(true)).toHaveLength(15);
  });

  test("one that says nothing is told every thirty seconds, until it ends", () => {
    const heard = (quiet: boolean) => {
      const terminal = fakeTerminal();
      let second = 0;
      const display = new PlainDisplay(terminal, { quiet, now: () => second });
      display.event(start("ready", "create", 0));
      display.event(start("models", "create", 0));
      for (second = 1; second <= 70; second++) {
        display.event(says("models", `models ${second} %`, second));
        display.tellSilent();
      }
      display.event(done("ready", "create", 75));
      second = 120;
      display.tellSilent();
      display.end();
      return terminal.text().split("\n");
    };
    expect(heard(false).filter((line) => line.includes("ready"))).toEqual([
      "  ready: 30.0 s so far",
      "  ready: 60.0 s so far",
      "+ ready created (75.0 s)",
    ]);
    expect(heard(false).filter((line) => / so far$/.test(line))).toHaveLength(3);
    expect(heard(true).join("")).toBe("");
  });
});

test("one failure told by the step and by the program is told once", () => {
  const display = new RecordDisplay();
  display.event(start("wheels", "create", 0));
  display.event(says("wheels", "uv was not found\n", 1, "error"));
  display.event(says("", "uv was not found", 1, "error"));
  display.event(failed("wheels", "create", 2));
  expect(display.record.problems).toEqual([{ severity: "error", name: "wheels", lines: ["uv was not found"] }]);
  expect(display.record.steps).toEqual([{ name: "wheels", op: "create", seconds: 2, status: "failed" }]);
});
