import type { Console } from "./client.ts";

export interface Workspace {
  id: string;
  name: string;
}

/** The workspace that the admin works in now: all that is asked and made is in it, and Dify's pages switch to another. */
export async function currentWorkspace(console: Console): Promise<Workspace> {
  const { id, name } = await console.post<Workspace>("/workspaces/current");
  return { id, name };
}
