import { rmSync } from "node:fs";
import { join } from "node:path";
import { type DifyFacts, difyStatus, startDify, stopDify } from "./dify.ts";
import { type Gpu, type HostFacts, hostStatus, startHost, stopHost } from "./host.ts";
import { startUpstreams, stopUpstreams, type UpstreamFacts, upstreamsStatus } from "./upstreams.ts";

export { upstreamRequests } from "./upstreams.ts";
export type { UpstreamFacts };

export interface RehearsalOptions {
  /** `.atelier/<stack>`: the host lies in `host/`, the upstreams in `upstreams/`, Dify in `dify/`. */
  stackDir: string;
  /** `.atelier/cache`: what outlives the stack. */
  cacheDir: string;
  /** Whether a host of this machine is wanted. */
  host: boolean;
  /** Whether the stand-in upstreams are wanted. */
  upstreams: boolean;
  /** Whether a stand-in Dify is wanted; with the socket of a Docker engine, as an image for the stack's containers. @default false */
  dify?: boolean | { socket: string };
  gpu?: Gpu | null;
}

const hostDir = (stackDir: string) => join(stackDir, "host");
const upstreamsDir = (stackDir: string) => join(stackDir, "upstreams");
const difyDir = (stackDir: string) => join(stackDir, "dify");

/** Starts what a stack needs on this machine, side by side; what runs already is left alone. */
export async function startRehearsal(options: RehearsalOptions): Promise<{
  host: HostFacts | undefined;
  upstreams: UpstreamFacts | undefined;
  dify: DifyFacts | undefined;
}> {
  const { stackDir, cacheDir, gpu } = options;
  const [host, upstreams, dify] = await Promise.all([
    options.host ? startHost({ dir: hostDir(stackDir), cacheDir: join(cacheDir, "host"), gpu }) : undefined,
    options.upstreams
      ? startUpstreams({ dir: upstreamsDir(stackDir), cacheDir: join(cacheDir, "upstreams") })
      : undefined,
    options.dify
      ? startDify({ dir: difyDir(stackDir), ...(typeof options.dify === "object" ? options.dify : {}) })
      : undefined,
  ]);
  return { host, upstreams, dify };
}

/**
 * Ends what a stack has running on this machine, with everything started through its host.
 * @param options.remove also removes the folders: ports, keys, workspace, and what was in Dify; the cache stays
 */
export async function stopRehearsal(options: { stackDir: string; remove?: boolean }): Promise<void> {
  const folders = [hostDir(options.stackDir), upstreamsDir(options.stackDir), difyDir(options.stackDir)] as const;
  await Promise.all([stopHost({ dir: folders[0] }), stopUpstreams({ dir: folders[1] }), stopDify({ dir: folders[2] })]);
  if (options.remove) for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** What of a stack runs on this machine. */
export function rehearsalStatus({ stackDir }: { stackDir: string }) {
  return {
    host: hostStatus({ dir: hostDir(stackDir) }),
    upstreams: upstreamsStatus({ dir: upstreamsDir(stackDir) }),
    dify: difyStatus({ dir: difyDir(stackDir) }),
  };
}
