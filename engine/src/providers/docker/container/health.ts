import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import type { PropertyMap } from "../../../values.ts";
import { DockerFailed, isNotFound } from "../client/errors.ts";
import { flag, number, text } from "../plain.ts";
import type { Call } from "../resources/resource.ts";
import { containerLogs } from "./attach.ts";
import type { Inspected } from "./read.ts";

const HEALTH_PAUSE_MS = 500;
/** How long an engine may be silent while a container is waited for: a line that dropped, an engine that starts anew. */
const SILENCE_MS = 90_000;
/** How much of a failed health check's own words is told. */
const HEALTH_WORDS = 300;
/** How much of what a container said before it ended is read, and is told of it. */
const READ_LINES = 60;
const LAST_LINES = 8;
const LAST_WORDS = 1000;
/** Where a program was, which Go says after why: a panic's trace is longer than all else. */
const TRACE = /^(goroutine \d+ .*|\s+\S+\.go:\d+.*|[\w./*()[\]-]+\([^ ]*.*\)|exit status \d+)?$/;
/** Ends of a container that is waited for, after which it is given up: Docker's pauses double, so this is half a minute and more. */
const RESTARTS = 8;

export async function inspect(id: string, call: Call): Promise<Inspected | undefined> {
  try {
    return (await call.engine.ask(`look at the container ${id.slice(0, 12)}`, call, (docker) =>
      docker.getContainer(id).inspect(),
    )) as unknown as Inspected;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Waits until the container is healthy, where the inputs want that. Gives what went wrong; undefined: nothing.
 * @param restarted how often it had been started again before. @default what the first look says
 */
export async function health(
  id: string,
  inputs: PropertyMap,
  call: Call,
  restarted?: number,
): Promise<string | undefined> {
  if (!flag(inputs, "wait") || !flag(inputs, "start")) return undefined;
  const name = text(inputs, "name");
  const seconds = number(inputs, "waitTimeout") || 60;
  const end = Date.now() + seconds * 1000;
  let before = restarted;
  let code: number | undefined;
  let heard = Date.now();
  for (;;) {
    let seen: Inspected | undefined;
    try {
      seen = await inspect(id, call);
      heard = Date.now();
    } catch (error) {
      const refused = !(error instanceof DockerFailed) || error.status !== undefined || call.signal.aborted;
      if (refused || Date.now() - heard > SILENCE_MS) throw error;
      call.log({
        stream: "info",
        text: `waiting for the Docker engine to answer again: ${error.reason}`,
        ephemeral: true,
      });
      await sleep(HEALTH_PAUSE_MS);
      continue;
    }
    if (seen === undefined) return `the container ${name} is gone while it was waited for to be healthy`;
    const { Running, Status, ExitCode, Health } = seen.State;
    if (Health === undefined) {
      return `the container ${name} has no health check, so "wait" would wait for ever: give it a healthcheck, or take wait from it`;
    }
    if (Health.Status === "healthy") return undefined;
    const restarts = /^(always|unless-stopped|on-failure)$/.test(text(inputs, "restart"));
    // One that will be started again is "restarting" meanwhile.
    const over = restarts ? Status === "exited" || Status === "dead" : !Running;
    before ??= seen.RestartCount;
    const times = seen.RestartCount - before;
    if (over || (times >= RESTARTS && Status === "restarting")) {
      const often = times > 0 ? `, ${times + 1} times,` : "";
      return `the container ${name} ended with exit code ${ExitCode}${often} before it was healthy${await lastWords(id, inputs, call)}`;
    }
    // While it runs again, the engine says 0.
    if (Status === "restarting") code = ExitCode;
    const ended = code === undefined ? "ended" : `ended with exit code ${code}`;
    const again = times > 0 ? `; it ${ended} and was started again ${times} times` : "";
    if (Date.now() > end) {
      const last = Health.Log?.at(-1);
      const said =
        last === undefined
          ? "no check has ended yet"
          : `the last check ended with exit code ${last.ExitCode}${words(last.Output)}`;
      return `the container ${name} is ${Health.Status}, not healthy, after ${seconds} s (waitTimeout): ${said}${again}. docker logs ${name} shows what it says`;
    }
    call.log({
      stream: "info",
      text: `waiting for the container to be healthy (${Health.Status}${again})`,
      ephemeral: true,
    });
    await sleep(HEALTH_PAUSE_MS);
  }
}

/** Says of a container that should run and has ended already what it said last: nobody has waited for it. */
export async function warnOfEnd(id: string, inputs: PropertyMap, call: Call): Promise<void> {
  if (!flag(inputs, "mustRun") || !flag(inputs, "start")) return;
  const seen = await inspect(id, call);
  if (seen === undefined || (seen.State.Running && seen.State.Status !== "restarting")) return;
  const { Status, ExitCode } = seen.State;
  const then = Status === "restarting" ? ", and is started again" : "; one that is meant to end has mustRun: false";
  call.log({
    stream: "warning",
    text: `the container ${text(inputs, "name")} has ended with exit code ${ExitCode}${then}${await lastWords(id, inputs, call)}`,
  });
}

/** What a container said last: of no use to who can't reach its engine by hand. */
async function lastWords(id: string, inputs: PropertyMap, call: Call): Promise<string> {
  const shown = `docker logs ${text(inputs, "name")} shows what it said`;
  const logs = await containerLogs(id, inputs, call, READ_LINES).catch(() => "");
  const lines = stripVTControlCharacters(logs).trimEnd().split("\n");
  const isGo = /^goroutine \d+ \[/m.test(logs);
  const telling = lines.filter((line) => !isGo || !TRACE.test(line.trimEnd()));
  const said = telling.slice(-LAST_LINES).join("\n").trim().slice(-LAST_WORDS);
  return said === "" ? `: ${shown}` : `. Its last words (${shown}):\n${said}`;
}

function words(output: string): string {
  const said = output.trim().slice(0, HEALTH_WORDS);
  return said === "" ? "" : `: ${said}`;
}
