import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import { readPlatform } from "../../stacks/platforms/saved.ts";
import type { SshHostSettings } from "../../stacks/schema/host.ts";
import { hint } from "./commands/command.ts";
import { isOnHost, listResources } from "./engines/state.ts";
import { UserError } from "./errors.ts";
import { readIfThere } from "./files.ts";
import { home, hostKeyFile } from "./paths.ts";
import type { Stack } from "./stack.ts";

type States = Awaited<ReturnType<typeof listResources>>;

/** A step on the host, as the state has it. */
interface Made {
  workspace: string;
  connection: { host?: unknown; port?: unknown; hostKey?: unknown };
}

function stepsOf(states: States): Made[] {
  return states.filter(isOnHost).flatMap((state) => {
    const { create, connection = {} } = unwrapMap(state.inputs) as {
      create?: unknown;
      connection?: Made["connection"];
    };
    const [, workspace] = /^sh '(.+)\/bin\/[\w.-]+' apply$/.exec(String(create)) ?? [];
    return workspace === undefined ? [] : [{ workspace, connection }];
  });
}

/** The workspace in which the stack's steps are; undefined where there are none. */
export const workspaceInState = (states: States): string | undefined => stepsOf(states)[0]?.workspace;

/**
 * Stops before a plan that would make a second workspace on the same box: what runs in the first would run on, and no `down` would know of it.
 * @throws UserError (exit code 2)
 */
export async function checkPlace({ name, settings: { host } }: Stack): Promise<void> {
  if (host.kind !== "ssh") return;
  const states = await listResources(name);
  const made = stepsOf(states).find(({ workspace }) => workspace !== host.workspace);
  if (!made || !isSameBox(made, name, host)) return;
  const proposed = readPlatform(home, name)?.proposal.host.workspace === host.workspace;
  const says = proposed ? "its platform, or the settings, now say" : "the settings now say";
  throw new UserError(
    `The workspace of stack \`${name}\` is ${made.workspace} on its box, and ${says} ${host.workspace}. A workspace does not move: ` +
      `the WebUI in the first would run on, with all its files. \`${hint("down", name)}\` first, which removes it where it is, or set host.workspace to ${made.workspace} again.`,
    2,
  );
}

/** A rental stays the same for as long as the state has it. */
function isSameBox({ connection }: Made, name: string, host: SshHostSettings): boolean {
  if (host.rent) return true;
  const key = (line: string | undefined) => line?.trim().split(/\s+/)[1];
  return (
    connection.host === host.address &&
    Number(connection.port ?? 22) === host.port &&
    key(String(connection.hostKey)) === key(host.hostKey ?? readIfThere(hostKeyFile(name)))
  );
}
