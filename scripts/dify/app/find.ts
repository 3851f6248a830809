import type { Console } from "../client.ts";
import { DifyError } from "../errors.ts";
import { type Marker, readMarker } from "./marker.ts";

/** An app as the console's list has it. */
export interface ListedApp {
  id: string;
  name: string;
  mode: string;
  description: string | null;
  created_at: number;
}
export interface Found {
  app: ListedApp;
  marker: Marker | undefined;
}

/** Every app of the workspace. The list's own search finds parts of names, and knows nothing of whose an app is. */
async function allApps(console: Console): Promise<ListedApp[]> {
  const apps: ListedApp[] = [];
  for (let page = 1; page < 200; page++) {
    const answer = await console.get<{ data: ListedApp[]; has_more: boolean }>(`/apps?page=${page}&limit=100`);
    apps.push(...answer.data);
    if (!answer.has_more) break;
  }
  return apps;
}

interface Sought {
  owner: string;
  name: string;
  mode: string;
}

const appsOf = async (console: Console): Promise<Found[]> =>
  (await allApps(console)).map((app) => ({ app, marker: readMarker(app.description).marker }));

const first = (found: Found[]) => found.sort((a, b) => a.app.created_at - b.app.created_at)[0];

function mineIn(apps: Found[], { owner, name, mode }: Sought, known: string | undefined): Found | undefined {
  const ours = apps.filter(({ app, marker }) => marker?.owner === owner && app.mode === mode);
  // A copy made in the console has our marker too: the one with the name, and then the older one, is ours.
  return (
    apps.find(({ app, marker }) => app.id === known && !marker && app.mode === mode) ??
    first(ours.filter(({ app }) => app.name === name)) ??
    first(ours)
  );
}

/**
 * The app of this stack, by its marker alone: whatever else has its name.
 * @param known its id, where the state has it: a marker is deleted with the description around it
 */
export const findOurs = async (console: Console, sought: Sought, known?: string): Promise<Found | undefined> =>
  mineIn(await appsOf(console), sought, known);

/**
 * The app of this stack: by its marker, whatever it is called now, else by its name.
 * @param known its id, as of `findOurs`
 * @throws DifyError where its name is taken by an app of another mode, or of another stack
 */
export async function findApp(console: Console, sought: Sought, known?: string): Promise<Found | undefined> {
  const { name, mode } = sought;
  const apps = await appsOf(console);
  const mine = mineIn(apps, sought, known);
  const others = apps.filter(({ app }) => app.name === name && app.id !== mine?.app.id);
  const clash = (found: Found, why: string) =>
    new DifyError(
      `There is an app called \`${name}\` at ${console.url} already, and it is ${why} (id ${found.app.id}). It is left as it is: give ours another name (dify.apps), or rename that one.`,
    );
  for (const other of others)
    if (other.app.mode !== mode) throw clash(other, `of mode ${other.app.mode}, where ours is of mode ${mode}`);
  if (mine) return mine;
  for (const other of others) if (other.marker) throw clash(other, `of \`${other.marker.owner}\`, another stack's`);
  return first(others);
}
