import { atelier } from "../../healthchecks/hint.ts";
import { type Content, contentOf, contentOfDsl, differences, edgesApart, hashOf, shortly } from "./app/content.ts";
import { type AppFace, type Dsl, type ModelConfig, readDsl, type Workflow } from "./app/dsl.ts";
import { fillDsl } from "./app/fill.ts";
import { findApp, findOurs, isAnothers, type Known, takenOver } from "./app/find.ts";
import { importApp } from "./app/import.ts";
import { keyOf, keysOf } from "./app/keys.ts";
import { type Marker, readMarker, roomBeside, shortId, withMarker } from "./app/marker.ts";
import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";
import { type Item, missing, type Standing, type Wanted } from "./item.ts";
import { pluginById } from "./plugins.ts";
import { note, type Say } from "./wait.ts";

interface Detail extends AppFace {
  id: string;
  mode: string;
  enable_site: boolean;
  enable_api: boolean;
  model_config: ModelConfig | null;
  deleted_tools: { tool_name?: string; provider_id?: string }[] | null;
  site: { access_token: string } | null;
}
/** An app as it is now. */
interface State {
  detail: Detail;
  marker: Marker | undefined;
  content: Content;
  /** Of a flow that was never published: nobody can talk to it. */
  published: boolean;
  /** Changes in a flow's draft that are not published. */
  draft: string[];
}

/** An agent or a chatflow: imported once, then updated in place, with its API key. */
export const app: Item<"app"> = {
  async apply({ console, input, say, before: facts, force }) {
    const wanted = await fillDsl(console, input);
    const hash = hashOf(contentOfDsl(wanted));
    const found = await findApp(console, input, knownIn(facts), { force });
    const before = found && (await readState(console, found.app.id, factsMarker(found.app.id, input.owner, facts)));
    const edited = before ? editsOf(before, wanted, hash) : [];
    const same = before?.published === true && before.marker?.wanted === hash;
    const leave = edited.length > 0 && same && !force;
    if (edited.length > 0 && !leave && !force) throw new DifyError(refused(before!, edited, input.name));
    if (leave)
      say(
        `\`${before.detail.name}\` was edited in Dify's console (${shortly(edited)}): left as it is; --force overwrites it`,
      );

    const kept = before !== undefined && (before.marker?.kept ?? true);
    const { owner, state } = input;
    const unfinished: Marker = { owner, state, content: undefined, wanted: hash, key: before?.marker?.key, kept };
    const current = same && edited.length === 0;
    const id = current || leave ? before!.detail.id : await write(console, wanted, before?.detail.id, unfinished, say);
    const detail = await switchOn(console, id);
    const key = await keyOf(console, id, before?.marker?.key);
    // What was left alone keeps the mark of how we left it, so that it still shows as edited.
    const left = leave ? before?.marker?.content : undefined;
    const content = await mark(console, id, { ...unfinished, content: left, key: shortId(key.id) }, say);
    const site = detail.site?.access_token;
    return {
      appId: id,
      mode: input.mode,
      keyId: key.id,
      siteUrl: site ? `${console.url}/chat/${site}` : "",
      hash,
      content,
      made: !kept,
      ...(state && { state }),
    };
  },

  async remove({ console, input, say, before: facts }) {
    const { ours: found, taken } = await findOurs(console, input, knownIn(facts));
    if (taken) say(note(`\`${taken.app.name}\` has the mark of another copy of this stack by now: it stays`));
    const marker = found?.marker ?? (found && factsMarker(found.app.id, input.owner, facts));
    if (!found || !marker) return;
    if (!marker.kept) {
      await console.delete(`/apps/${found.app.id}`);
      return;
    }
    say(note(`\`${found.app.name}\` was there before: it stays`));
    const detail = await console.get<Detail>(`/apps/${found.app.id}`);
    await putFace(console, found.app.id, { ...detail, description: readMarker(detail.description).text });
  },

  async check(console, wanted, { force }): Promise<Standing> {
    for (const { id } of wanted.plugins)
      if (!(await pluginById(console, id))) return missing(`its plugin ${id} is not installed`);
    const found = await findApp(console, wanted, { early: true }, { force });
    if (!found) return missing(`there is no app \`${wanted.name}\``);
    if (isAnothers(found, wanted)) return missing(takenOver(found));
    if (!found.marker)
      return missing(
        `the description of the app \`${wanted.name}\` does not say that it is this stack's${crowded(found.app.description, wanted.owner)}`,
      );
    if (wanted.state && !found.marker.state)
      return missing("its mark is an earlier Atelier's, and does not tell one copy of this stack from another");
    return standing(console, wanted, await readState(console, found.app.id));
  },
};

/** Why an apply would refuse a Dify in which this stack has no app yet; undefined where it would not. */
export async function foreseen(
  console: Console,
  wanted: Wanted<"app">,
  force: boolean,
): Promise<{ refused?: string; said?: string }> {
  const found = await findApp(console, { state: "-", ...wanted }, {}, { force });
  if (!found) return {};
  if (isAnothers(found, wanted)) return { said: takenOver(found) };
  if (found.marker || force) return {};
  const dsl = readDsl(wanted.dsl, wanted.mode);
  dsl.app.name = wanted.name;
  // What only that Dify knows is not in it yet.
  const filled = /(credential_id|plugin_unique_identifier)$|completion_params/;
  const state = await readState(console, found.app.id);
  const other = differences(state.content, contentOfDsl(dsl)).filter((path) => !filled.test(path));
  return other.length > 0 ? { refused: refused(state, other, wanted.name) } : {};
}

async function standing(console: Console, wanted: Wanted<"app">, state: State): Promise<Standing> {
  const { detail, marker, published } = state;
  const dsl = await fillDsl(console, wanted).catch((error: unknown) => error as Error);
  if (dsl instanceof Error) return missing(dsl.message);
  const hash = hashOf(contentOfDsl(dsl));
  const edited = editsOf(state, dsl, hash);
  const why = [
    published ? "" : "it is not published",
    marker?.content === undefined ? "its last update did not come to its end" : "",
    marker && marker.wanted !== hash ? "it is not as the settings have it" : "",
    detail.enable_api ? "" : "its API is switched off",
    detail.enable_site ? "" : "its web page is switched off",
    detail.deleted_tools?.length ? "its tool is gone" : "",
    (await keysOf(console, detail.id)).some(({ id }) => shortId(id) === marker?.key) ? "" : "its API key is gone",
  ].find(Boolean);
  return { ok: !why, ...(why ? { why } : {}), ...(edited.length > 0 ? { edited } : {}) };
}

/** Why no apply changes that: it is said with every plan, where what an apply says may not be shown. */
function crowded(description: string | null, owner: string): string {
  const room = roomBeside({ owner, content: "00000000", wanted: "00000000", key: "00000000", kept: false });
  const { length } = description?.trim() ?? "";
  return length > room ? `: it has ${length} letters, and leaves no room for our mark with more than ${room}` : "";
}

/** What its last apply told of it. */
function knownIn(facts: Record<string, unknown> | undefined): Known {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  return { id: text(facts?.appId), state: text(facts?.state) };
}

/** What the marker of an app said, by the facts of its last apply: people delete it with the description around it. */
function factsMarker(id: string, owner: string, facts: Record<string, unknown> | undefined): Marker | undefined {
  if (knownIn(facts).id !== id || typeof facts?.hash !== "string") return undefined;
  const { hash: wanted, content, keyId, made } = facts;
  return {
    owner,
    // Facts of before have none. It is a hash that no content has, so that whatever stands there now shows as edited.
    content: typeof content === "string" ? content : "00000000",
    wanted,
    key: typeof keyId === "string" ? shortId(keyId) : undefined,
    kept: made !== true,
  };
}

/** @param known the marker of one that has lost it */
async function readState(console: Console, id: string, known?: Marker): Promise<State> {
  const detail = await console.get<Detail>(`/apps/${id}`);
  const { text: description, marker = known } = readMarker(detail.description);
  const face = { ...detail, description };
  if (detail.mode === "agent-chat") {
    const content = contentOf({ app: face, model_config: detail.model_config });
    return { detail, marker, content, published: true, draft: [] };
  }
  const published = await console.get<Workflow | null>(`/apps/${id}/workflows/publish`);
  const draft = await console.get<Workflow>(`/apps/${id}/workflows/draft`);
  const content = contentOf({ app: face, workflow: published ?? draft });
  const ahead = differences(content, contentOf({ app: face, workflow: draft }));
  return { detail, marker, content, published: published !== null, draft: ahead };
}

/** What somebody changed since the last apply: the fields in which it is other than the settings have it. */
function editsOf({ marker, content, draft }: State, wanted: Dsl, hash: string): string[] {
  // One that did not come to its end is ours to finish.
  if (marker?.content === undefined && marker) return [];
  const other = differences(content, contentOfDsl(wanted));
  const unpublished = draft.map((path) => `${path} (not published)`);
  if (!marker) return [...other, ...unpublished];
  if (hashOf(content) === marker.content) return unpublished;
  // Somebody made it what the settings now want: nothing is lost.
  if (other.length === 0 && marker.wanted !== hash) return unpublished;
  return [...(other.length > 0 ? other : ["its content"]), ...unpublished];
}

function refused({ detail, marker }: State, edited: string[], name: string): string {
  // Which of them were changed there and which in the settings, the mark does not tell.
  const whose = marker
    ? `\`${detail.name}\` was edited in Dify's console since the last \`up\`, and the settings now want it changed: it is other than they want it in ${shortly(edited)}`
    : `There is an app called \`${name}\` already, which this stack did not make (other than ours: ${shortly(edited)}), and the settings now want it changed`;
  return `${whose}. Nothing was overwritten. ${atelier("up --force")} overwrites it; else ${marker ? "put the edit into the settings, or undo it there" : "give ours another name (dify.apps)"}.`;
}

/** Brings the wanted content into the app, a new one where there is none. */
async function write(console: Console, dsl: Dsl, id: string | undefined, marker: Marker, say: Say): Promise<string> {
  const face: AppFace = { ...dsl.app, description: withMarker(dsl.app.description, marker) };
  const marked: Dsl = { ...dsl, app: { ...dsl.app, ...face } };
  if (dsl.model_config && id) {
    // An agent can't be imported over, only configured; it counts at once.
    await putFace(console, id, face);
    await console.post(`/apps/${id}/model-config`, dsl.model_config);
    return id;
  }
  const made = await importApp(console, marked, id, say);
  if (dsl.workflow) await console.post(`/apps/${made}/workflows/publish`, { marked_name: "", marked_comment: "" });
  await sayLosses(console, made, dsl, say);
  return made;
}

/** What Dify did not take over as it was written: it would be a surprise later. */
async function sayLosses(console: Console, id: string, dsl: Dsl, say: Say): Promise<void> {
  const wanted = contentOfDsl(dsl);
  const { content } = await readState(console, id);
  const named = edgesApart(wanted);
  const lost = differences(content, wanted).filter((path) => named.has(path));
  if (lost.length > 0) say(note(`Dify keeps other values than the app's file has: ${shortly(lost)}`));
}

async function putFace(console: Console, id: string, face: AppFace): Promise<void> {
  const { name, description, icon_type, icon, icon_background, use_icon_as_answer_icon } = face;
  const body = { name, description, icon_type, icon, icon_background, use_icon_as_answer_icon };
  await console.put(`/apps/${id}`, body);
}

async function switchOn(console: Console, id: string): Promise<Detail> {
  const detail = await console.get<Detail>(`/apps/${id}`);
  if (!detail.enable_site) await console.post(`/apps/${id}/site-enable`, { enable_site: true });
  if (!detail.enable_api) await console.post(`/apps/${id}/api-enable`, { enable_api: true });
  return detail;
}

/**
 * Writes down how the app was left, unless that is said already.
 * @returns the hash of the content that it was left with
 */
async function mark(console: Console, id: string, marker: Marker, say: Say): Promise<string> {
  const { detail, content, marker: said } = await readState(console, id);
  const left = marker.content ?? hashOf(content);
  const { text } = readMarker(detail.description);
  const finished = { ...marker, content: left };
  const room = roomBeside(finished);
  if (text.length > room) {
    say(
      note(
        `the description of \`${detail.name}\` has ${text.length} letters and leaves no room for our mark: it stays as it is, and every \`up\` looks at this app again. With at most ${room} letters it is marked.`,
      ),
    );
    return left;
  }
  const face = { ...detail, description: withMarker(text, finished) };
  if (!said || face.description !== detail.description) await putFace(console, id, face);
  return left;
}
