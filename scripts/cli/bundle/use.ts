import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { atelier, quoted } from "../../../healthchecks/hint.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { profiles } from "../../../stacks/upstreams.ts";
import { messageOf, UserError } from "../errors.ts";
import { readIfThere, writeWhole } from "../files.ts";
import { stackHome } from "../paths.ts";
import { openSession } from "../ssh.ts";
import { openStack, type Stack } from "../stack.ts";
import type { Terminal } from "../terminal.ts";
import { type Manifest, readManifest } from "./manifest.ts";
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
  const portFile = `${stackHome(stackName)}/bundle.port`;
  // The same port as the last time: the host's steps have it among their inputs.
  const known = Number(readIfThere(portFile) ?? 0) || (await freePort());
  const overSsh = stack.settings.host.kind !== "local";
  const serving = await serve(path, manifest, overSsh ? 0 : known);
  try {
    const line = overSsh ? await holdForward(stack, known, serving.port, terminal) : undefined;
    const port = line?.port ?? serving.port;
    writeWhole(portFile, `${port}\n`);
    // What is brought from this machine itself: Dify's images and plugins.
    process.env.ATELIER_BUNDLE = path;
    process.env.ATELIER_UPSTREAMS = `bundle:http://127.0.0.1:${port}/`;
    return async () => {
      line?.end();
      await serving.close();
    };
  } catch (error) {
    await serving.close();
    throw error instanceof UserError
      ? new UserError(
          `${messageOf(error)} Where a host forwards nothing: ${atelier(`bundle push ${quoted(folder)}`)}, then --upstreams offline.`,
        )
      : error;
  }
}

async function serve(path: string, manifest: Manifest, port: number): Promise<Serving> {
  try {
    return await serveBundle(path, manifest, port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    return serveBundle(path, manifest, 0);
  }
}

/** Keeps a forward open over dropped lines, until it is told to end. */
async function holdForward(
  stack: Stack,
  wanted: number,
  to: number,
  terminal: Terminal,
): Promise<{ port: number; end: () => void }> {
  let ended = false;
  let session = await openSession(stack);
  const port = await session.forward(wanted, to);
  const again = async () => {
    for (let attempt = 1; attempt <= reconnects && !ended; attempt++) {
      await sleep(Math.min(500 * attempt, 5000));
      if (ended) return;
      try {
        session = await openSession(stack);
        // The host's steps have this port; for a while it may still be held there for the dead line.
        if ((await session.forward(port, to)) === port) {
          session.onClose(() => void again());
          return;
        }
        session.close();
      } catch {
        // The next attempt may find the host again; the update itself says what is wrong.
      }
    }
    if (!ended) terminal.line("The line that carried the bundle to the host is gone for good; run it again.");
  };
  session.onClose(() => void again());
  return {
    port,
    end: () => {
      ended = true;
      session.close();
    },
  };
}
