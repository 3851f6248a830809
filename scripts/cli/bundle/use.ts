import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { profiles } from "../../../stacks/upstreams.ts";
import { messageOf, UserError } from "../errors.ts";
import { readIfThere, writeWhole } from "../files.ts";
import { stackHome } from "../paths.ts";
import { openSession, type Session } from "../ssh.ts";
import { openStack, type Stack } from "../stack.ts";
import type { Terminal } from "../terminal.ts";
import { readManifest } from "./manifest.ts";
import { type Serving, serveBundle } from "./server.ts";

/** How often a line that carries the bundle to a host is made again. */
const reconnects = 20;

/**
 * `--upstreams`: another profile, or a bundle, for one command. A bundle is served for as long as the command runs; a host over SSH reaches it
 * through a forward of its own loopback.
 * @returns what ends it
 * @throws UserError for a folder that is no bundle, or a host that forwards nothing
 */
export async function useUpstreams(asked: string, stackName: string, terminal: Terminal): Promise<() => Promise<void>> {
  const [, folder] = /^bundle:(.+)$/.exec(asked) ?? [];
  if (!folder) {
    if (!Object.hasOwn(profiles, asked))
      throw new UserError(
        `--upstreams is ${Object.keys(profiles).join(", ")} or bundle:<folder>, not \`${asked}\`.`,
        2,
      );
    process.env.ATELIER_UPSTREAMS = asked;
    return async () => {};
  }
  const stack = openStack(stackName);
  const path = resolve(folder);
  const manifest = readManifest(path);
  const serving = await serve(path, manifest, stackName);
  process.env.ATELIER_UPSTREAMS = `bundle:${serving.base}`;
  try {
    const line = stack.settings.host.kind === "ssh" ? await holdForward(stack, serving.port, terminal) : undefined;
    return async () => {
      line?.();
      await serving.close();
    };
  } catch (error) {
    await serving.close();
    throw error instanceof UserError
      ? new UserError(
          `${messageOf(error)} Where a host forwards nothing: \`npx atelier bundle push ${folder}\`, then --upstreams offline.`,
        )
      : error;
  }
}

/** At the same port as the last time: the host's steps have it among their inputs. */
async function serve(path: string, manifest: ReturnType<typeof readManifest>, stack: string): Promise<Serving> {
  const file = `${stackHome(stack)}/bundle.port`;
  const { freePort } = await import("../../../rehearsal/lib/ports.ts");
  const known = Number(readIfThere(file) ?? 0);
  for (const port of [known, await freePort()].filter((port) => port > 0)) {
    try {
      const serving = await serveBundle(path, manifest, port);
      if (port !== known) writeWhole(file, `${port}\n`);
      return serving;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
  throw new UserError("No port of 127.0.0.1 to serve the bundle on: another program took it just now. Run it again.");
}

/** Keeps a forward open over dropped lines, until it is told to end. */
async function holdForward(stack: Stack, port: number, terminal: Terminal): Promise<() => void> {
  let ended = false;
  let session: Session | undefined;
  const open = async () => {
    session = await openSession(stack);
    await session.forward(port);
    session.onClose(() => void again());
  };
  const again = async () => {
    for (let attempt = 1; attempt <= reconnects && !ended; attempt++) {
      await sleep(Math.min(500 * attempt, 5000));
      try {
        if (!ended) await open();
        return;
      } catch {
        // The next attempt may find the host again; the update itself says what is wrong.
      }
    }
    if (!ended) terminal.line("The line that carried the bundle to the host is gone for good; run it again.");
  };
  await open();
  return () => {
    ended = true;
    session?.close();
  };
}
