import { atelier } from "../../../healthchecks/hint.ts";
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

export interface Sought {
  owner: string;
  /** Of this stack's state, in somebody's Dify. */
  state?: string | undefined;
  name: string;
  mode: string;
}
/** What the state tells of an app by the facts of its last apply: a mark is deleted with the description around it. */
export interface Known {
  id?: string | undefined;
  /** That it was marked with: another WebUI's password is another one. */
  state?: string | undefined;
  /** The state is not asked: one that an earlier Atelier marked may be it. */
  early?: boolean;
}

const appsOf = async (console: Console): Promise<Found[]> =>
  (await allApps(console)).map((app) => ({ app, marker: readMarker(app.description).marker }));

const first = (found: Found[]) => found.sort((a, b) => a.app.created_at - b.app.created_at)[0];

function isMine({ app, marker }: Found, { owner, state }: Sought, known: Known): boolean {
  if (!marker) return false;
  if (marker.state) return [state, known.state].includes(marker.state);
  // Of an Atelier that told no copy of a stack from another: the one that knows it has it.
  return state && !known.early ? app.id === known.id : marker.owner === owner;
}

/** The stack's app of the other mode: the settings may give each the other's name, and Dify has no objection. */
function isSibling({ app, marker }: Found, sought: Sought, known: Known): boolean {
  if (!marker || app.mode === sought.mode) return false;
  if (!isMine({ app, marker }, { ...sought, owner: marker.owner }, known)) return false;
  return marker.state !== undefined || stackOf(marker.owner) === stackOf(sought.owner);
}

const stackOf = (owner: string) => owner.split("/")[0];

function mineIn(apps: Found[], sought: Sought, known: Known): Found | undefined {
  const candidates = apps.filter(({ app }) => app.mode === sought.mode);
  const ours = candidates.filter((found) => isMine(found, sought, known));
  // A copy made in the console has our marker too: the one with the name, and then the older one, is ours.
  return (
    candidates.find(({ app, marker }) => app.id === known.id && !marker) ??
    first(ours.filter(({ app }) => app.name === sought.name)) ??
    first(ours)
  );
}

/** The app of this stack, by its marker alone: whatever else has its name. `taken`: the one that was, and has another copy's marker. */
export async function findOurs(
  console: Console,
  sought: Sought,
  known: Known = {},
): Promise<{ ours: Found | undefined; taken: Found | undefined }> {
  const apps = await appsOf(console);
  const ours = mineIn(apps, sought, known);
  return { ours, taken: ours ? undefined : apps.find(({ app }) => app.id === known.id) };
}

/**
 * The app of this stack: by its marker, whatever it is called now, else by its name.
 * @param options.force one that another copy of this stack made is taken over
 * @throws DifyError where its name is taken by an app of another mode, of another stack, or of another copy of this one
 */
export async function findApp(
  console: Console,
  sought: Sought,
  known: Known = {},
  { force = false } = {},
): Promise<Found | undefined> {
  const { name, mode } = sought;
  const apps = await appsOf(console);
  const mine = mineIn(apps, sought, known);
  const others = apps.filter(
    (found) => found.app.name === name && found.app.id !== mine?.app.id && !isSibling(found, sought, known),
  );
  const clash = ({ app }: Found, why: string, mend = "give ours another name (dify.apps), or rename that one") =>
    new DifyError(
      `There is an app called \`${name}\` at ${console.url} already, and it is ${why} (id ${app.id}). It is left as it is: ${mend}.`,
    );
  for (const other of others)
    if (other.app.mode !== mode) throw clash(other, `of mode ${other.app.mode}, where ours is of mode ${mode}`);
  if (mine) return mine;
  for (const other of others) {
    if (!other.marker) continue;
    if (other.marker.owner !== sought.owner) throw clash(other, `of \`${other.marker.owner}\`, another stack's`);
    if (!force) throw clash(other, `of \`${sought.owner}\` too, ${copyOf(other.marker)}`, wayOn(other.marker));
  }
  return first(others);
}

/** Whether another copy of this stack made it. */
export const isAnothers = ({ marker }: Found, { owner, state }: Sought): boolean =>
  marker?.owner === owner && marker.state !== undefined && marker.state !== state;

/** What `--force` does with one. */
export const takenOver = ({ app, marker }: Found): string =>
  `\`${app.name}\` is another copy's, marked ${marker?.state}, and is taken over (--force)`;

const copyOf = ({ state }: Marker) =>
  state
    ? `but made by another copy of this stack, marked ${state}, whose state is elsewhere`
    : "and this copy's state does not know it";

const wayOn = ({ state }: Marker) =>
  `give ours another name (dify.apps). If it is yours, bring its state here (${atelier("stack import")}), or run \`down\` where that state is. If that state is lost for good, ${atelier("up --force")} takes the app over, with its page, chats and API key; credentials of before${state ? `, whose names end in ${state},` : ""} are then deleted by hand in Dify's pages`;
