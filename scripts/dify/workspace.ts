import { atelier } from "../../healthchecks/hint.ts";
import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";

export interface Workspace {
  id: string;
  name: string;
  /** What the login is in it. */
  role: string;
}

/** The workspace that the admin works in now: all that is asked and made is in it, and Dify's pages switch to another. */
export async function currentWorkspace(console: Console): Promise<Workspace> {
  const { id, name, role } = await console.post<Workspace>("/workspaces/current");
  return { id, name, role };
}

/** Why nothing can be made in it; undefined where it can. Others may make apps, but no model's credential: found out half-way. */
export const refusedRole = (url: string, { name, role }: Workspace): string | undefined =>
  role === "owner" || role === "admin"
    ? undefined
    : `The login of ${url} (dify.email) is \`${role}\` in the workspace \`${name}\`, and a model's credential is made by its owner or an admin alone. Switch to another workspace in Dify's pages (its name at the top), or have its owner make this login an admin.`;

/** The same, to make something in. @throws DifyError where the login may not */
export async function workIn(console: Console): Promise<Workspace> {
  const workspace = await currentWorkspace(console);
  const refused = refusedRole(console.url, workspace);
  if (refused) throw new DifyError(refused);
  return workspace;
}

/**
 * Each item logs in by itself, hours after the one before, perhaps: what stands in another workspace is neither looked for nor made there.
 * @param wanted where the set-up was; undefined: anywhere
 * @throws DifyError where the admin works in another one
 */
export async function requireWorkspace(
  console: Console,
  wanted: string | undefined,
  what: "apply" | "remove",
): Promise<void> {
  if (wanted === undefined) return;
  const { id, name } = await currentWorkspace(console);
  if (id === wanted) return;
  const [left, again, gone] =
    what === "remove"
      ? ["nothing was taken out", atelier("down"), atelier("down --dify-gone")]
      : ["nothing was made here", atelier("up"), `${atelier("up --force")} makes everything anew in \`${name}\``];
  throw new DifyError(
    `The admin of ${console.url} works in the workspace \`${name}\` now, and what this stack made is in another one: ${left}. Switch back in Dify's pages (the workspace's name at the top), and run ${again} again. If that workspace is gone for good: ${gone}.`,
  );
}
