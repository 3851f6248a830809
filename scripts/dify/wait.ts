import { atelier } from "../../healthchecks/hint.ts";
import { DifyError, daemonIsDown, daemonIsNotReady, runtimeIsMissing } from "./errors.ts";

/** Progress for people; masked by whoever made it. */
export type Say = (line: string) => void;

/** A line that is no progress: it is shown however quick the step was (scripts/cli/display/steps.ts). */
export const note = (text: string): string => `note: ${text}`;

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Does `work` again for as long as `notYet` says of its error that it is only too early.
 * @throws the last error once `seconds` are over, and any other at once
 */
async function until<T>(
  work: () => Promise<T>,
  notYet: (error: unknown) => boolean,
  { seconds, say, what }: { seconds: number; say: Say; what: string },
): Promise<T> {
  const start = Date.now();
  let told = 0;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const passed = (Date.now() - start) / 1000;
      if (!notYet(error) || passed > seconds) throw error;
      if (passed - told >= 2) {
        told = passed;
        say(`${what}, ${Math.round(passed)} s`);
      }
      await pause(500);
    }
  }
}

/** A call about plugins, while the plugin daemon may still be starting. */
export const whenDaemonIsUp = <T>(work: () => Promise<T>, seconds: number, say: Say): Promise<T> =>
  until(work, daemonIsNotReady, { seconds, say, what: "waiting for Dify's plugin daemon" }).catch((error: unknown) => {
    if (!daemonIsNotReady(error)) throw error;
    throw new DifyError(
      `${(error as DifyError).message} Its plugin daemon did not answer for ${seconds} s: read the log of the container plugin_daemon.`,
      error as DifyError,
    );
  });

/** A real call to a plugin, whose own process starts some seconds after the daemon says that it is installed. */
export const whenPluginRuns = <T>(work: () => Promise<T>, plugin: string, say: Say, seconds = 60): Promise<T> =>
  until(work, (error) => daemonIsDown(error) || runtimeIsMissing(error), {
    seconds,
    say,
    what: `waiting for the process of plugin ${plugin}`,
  }).catch((error: unknown) => {
    if (!runtimeIsMissing(error)) throw error;
    throw new DifyError(
      `${(error as DifyError).message} The plugin ${plugin} is installed, but its process did not start within ${seconds} s. Read the log of Dify's plugin daemon; installing the plugin again has cured it (${atelier("up --replace")} with the plugin's resource).`,
      error as DifyError,
    );
  });
