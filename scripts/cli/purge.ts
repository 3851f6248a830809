import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { commandProvider } from "@atelier/engine/providers/command/index";
import { workspace as inContainer } from "../../stacks/docker/place.ts";
import { isOnHost, listResources } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import { writeWhole } from "./files.ts";
import { home, stackHome } from "./paths.ts";
import { workspaceInState } from "./place.ts";
import type { Stack } from "./stack.ts";

/**
 * Leaves the order on the host that the removal of the workspace takes the cache with it
 * (scripts/host/00-workspace.sh). Dials what the state says.
 */
export async function orderPurge(stack: Stack, signal: AbortSignal): Promise<void> {
  const { host } = stack.settings;
  if (host.kind === "local") {
    const workspace = join(stackHome(stack.name), "host", "workspace");
    if (existsSync(workspace)) writeWhole(join(workspace, "run", "purge"), "");
    return;
  }
  const states = await listResources(stack.name);
  const resource = states.find((state) => isOnHost(state) && state.inputs.connection);
  if (!resource) return;
  const provider = await commandProvider({ version: "", config: {}, programDir: process.cwd() });
  // The settings may say another by now: what is removed is what the state has.
  const workspace = workspaceInState(states) ?? (host.kind === "docker" ? inContainer : host.workspace);
  // Where there is no workspace, nobody would take the order away again.
  const run = `sh -c 'test ! -s "$0/id" || : > "$0/purge"' '${workspace}/run'`;
  try {
    await provider.create({
      urn: "purge",
      type: "command:remote:Command",
      name: "purge",
      signal,
      log: () => {},
      inputs: { connection: resource.inputs.connection ?? null, create: run },
      preview: false,
      timeout: 0,
    });
  } catch (error) {
    throw new UserError(
      `The order to purge could not be left on the host, and nothing was removed. ${messageOf(error)}`,
    );
  } finally {
    await provider.close();
  }
}

/** The folders of this machine's cache that no other stack leans on. */
export function unusedCaches(): string[] {
  if (usersOfLocalCache().length > 0) return [];
  // Stand-in upstreams serve from there, and a running one is left alone by the next `up`: it would stay without its files.
  const stacks = existsSync(home) ? readdirSync(home) : [];
  const serving = stacks.some((name) => existsSync(join(home, name, "upstreams", "upstreams.json")));
  return serving ? ["host"] : ["host", "upstreams"];
}

/** Workspaces of other stacks on this machine that stand and have models from its cache (scripts/host/lib-store.sh). */
function usersOfLocalCache(): string[] {
  const uses = join(home, "cache", "host", "uses");
  if (!existsSync(uses)) return [];
  return readdirSync(uses)
    .map((name) => readFileSync(join(uses, name), "utf8").split("\n")[0] ?? "")
    .filter((workspace) => workspace !== "" && existsSync(join(workspace, "run", "id")));
}
