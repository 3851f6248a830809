import { spawnSync } from "node:child_process";
import { DockerFailed } from "@atelier/engine/providers/docker/client/errors";
import { engineLogin } from "../../stacks/docker/login.ts";
import { openEngine } from "../docker/engine.ts";
import { listResources } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import { root } from "./paths.ts";
import type { Stack } from "./stack.ts";

/**
 * Stops before a plan that could only fail once it is agreed to: no Docker engine for the box or for Dify, no command that rents. Of what
 * an earlier update made, the plan itself asks.
 * @throws UserError with all of it at once
 */
export async function refuseUnmet(stack: Stack, signal: AbortSignal): Promise<void> {
  const { host, dify, upstreams } = stack.settings;
  const rent = host.kind === "ssh" ? host.rent : undefined;
  const box =
    host.kind === "docker" ? { key: "atelier:host.docker", engine: host.docker, facts: "docker-facts" } : undefined;
  // A rehearsal's Dify needs no engine.
  const own = dify && !dify.url && upstreams.profile !== "rehearsal";
  const services = own ? { key: "atelier:dify.docker", engine: dify.docker, facts: "dify-docker-facts" } : undefined;
  if (!rent && !box && !services) return;
  const states = await listResources(stack.name);
  const made = (name: string) => states.some(({ urn }) => urn.endsWith(`::${name}`));
  const engines = [box, services].filter((one) => one !== undefined && !made(one.facts));
  const unmet = await Promise.all(engines.map((one) => one && whyNoEngine(one, signal)));
  if (rent && !made("rent"))
    unmet.push(
      ...(["create", "destroy"] as const).map((name) => whyNoCommand(`atelier:host.rent.${name}`, rent[name])),
    );
  const told = unmet.filter((why) => why !== undefined);
  if (told.length === 0) return;
  throw new UserError(
    `Nothing was changed. What stack \`${stack.name}\` begins with is not there:\n${told.map((why) => `  - ${why}`).join("\n")}`,
  );
}

async function whyNoEngine(
  { key, engine: settings }: { key: string; engine: { host: string; certPath?: string | undefined } },
  signal: AbortSignal,
): Promise<string | undefined> {
  const mistakes: string[] = [];
  const login = engineLogin(settings, `${key}.certPath`, mistakes);
  if (mistakes.length > 0) return mistakes.join("; ");
  const engine = openEngine(login);
  try {
    await engine.ask("begin", { signal }, (docker) => docker.ping());
    return undefined;
  } catch (error) {
    if (!(error instanceof DockerFailed)) throw error;
    // Its advice is for any program.
    return `${key}: ${messageOf(error).replace(/if it is elsewhere, .*/, `if it is elsewhere, set ${key}.host.`)}`;
  } finally {
    engine.close();
  }
}

/** Of a line for the shell only its first word, where that is a plain one. */
function whyNoCommand(key: string, command: string | string[]): string | undefined {
  if (process.platform === "win32") return undefined;
  const program = typeof command === "string" ? /^\s*([\w./][\w./+-]*)(?=\s|$)/.exec(command)?.[1] : command[0];
  if (program === undefined) return undefined;
  const { status } = spawnSync("/bin/sh", ["-c", 'command -v "$1"', "sh", program], { cwd: root, stdio: "ignore" });
  return status === 0 ? undefined : `${key}: there is no command ${program} on this machine (it is run in ${root}).`;
}
