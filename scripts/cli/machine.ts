import { join } from "node:path";
import { ensureSystemPackages } from "../bootstrap/system.mjs";
import { usePushed } from "./bundle/pushed.ts";
import { dockerSocket } from "./dockerHere.ts";
import { messageOf, UserError } from "./errors.ts";
import { makeFolder } from "./files.ts";
import { home, stackHome } from "./paths.ts";
import type { Stack } from "./stack.ts";

/** What a stack has on this machine itself: its host, its stand-in upstreams, its stand-in Dify. */
const wants = ({ settings }: Stack) => ({
  host: settings.host.kind === "local",
  upstreams: settings.upstreams.profile === "rehearsal",
  dify: settings.upstreams.profile === "rehearsal" && settings.dify !== undefined && settings.dify.url === undefined,
});

const wantsAnything = (stack: Stack): boolean => Object.values(wants(stack)).some(Boolean);

/** Starts what the stack needs on this machine, and finds the bundle that was pushed for it; what runs is left alone. */
export async function startMachine(stack: Stack): Promise<void> {
  usePushed(stack);
  if (!wantsAnything(stack)) return;
  const { rehearsalStatus, startRehearsal } = await import("../../rehearsal/index.ts");
  // A host that runs has all of it; asking Python takes a good part of a second behind pyenv.
  if (!rehearsalStatus({ stackDir: stackHome(stack.name) }).host.running) ensureSystemPackages();
  const wanted = wants(stack);
  makeFolder(stackHome(stack.name), 0o700);
  try {
    const dify = wanted.dify && (await difyIn(stack));
    await startRehearsal({ stackDir: stackHome(stack.name), cacheDir: join(home, "cache"), ...wanted, dify });
  } catch (error) {
    throw new UserError(`What stack \`${stack.name}\` needs on this machine did not start. ${messageOf(error)}`);
  }
}

/** Containers where a Docker engine answers and an image can be made; a process else. What it began with it keeps for the stack's life. */
async function difyIn(stack: Stack): Promise<true | { socket: string }> {
  const known = await standInDify(stack);
  if (known === "process") return true;
  const socket = await dockerSocket(stack);
  if (!socket) {
    if (known === "containers")
      throw new UserError(
        `Its Dify runs in containers, and no Docker engine answers at ${stack.settings.dify?.docker.host} now.`,
      );
    return true;
  }
  const { whyNoImage } = await import("../../rehearsal/dify/image.ts");
  return whyNoImage() === undefined ? { socket } : true;
}

/** Ends it; its folders stay, for the next start. */
export async function pauseMachine(stack: Stack): Promise<void> {
  if (!wantsAnything(stack)) return;
  const { stopRehearsal } = await import("../../rehearsal/index.ts");
  await stopRehearsal({ stackDir: stackHome(stack.name) });
}

/** Ends it, and removes its folders; the cache stays. */
export async function stopMachine(stack: Stack): Promise<void> {
  if (!wantsAnything(stack)) return;
  const { stopRehearsal } = await import("../../rehearsal/index.ts");
  await stopRehearsal({ stackDir: stackHome(stack.name), remove: true });
}

/** What of it runs; undefined where the stack has nothing on this machine. */
export async function machineStatus(
  stack: Stack,
): Promise<{ host?: boolean; upstreams?: boolean; dify?: boolean } | undefined> {
  if (!wantsAnything(stack)) return undefined;
  const { rehearsalStatus } = await import("../../rehearsal/index.ts");
  const { host, upstreams, dify } = rehearsalStatus({ stackDir: stackHome(stack.name) });
  const wanted = wants(stack);
  return {
    ...(wanted.host && { host: host.running }),
    ...(wanted.upstreams && { upstreams: upstreams.running }),
    ...(wanted.dify && { dify: dify.running }),
  };
}

/** In what the stack's stand-in Dify runs; undefined where it has none. */
export async function standInDify(stack: Stack): Promise<"process" | "containers" | undefined> {
  if (!wants(stack).dify) return undefined;
  const { rehearsalStatus } = await import("../../rehearsal/index.ts");
  return rehearsalStatus({ stackDir: stackHome(stack.name) }).dify.facts?.kind;
}
