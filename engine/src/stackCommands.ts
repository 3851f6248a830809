import { readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { integrityFaults } from "./integrity.ts";
import { loadProject, loadStackSettings } from "./project.ts";
import type { ResourceState, Snapshot } from "./resource.ts";
import { SIGNATURE_KEY, SIGNATURES } from "./signatures.ts";
import { type StateOptions, withStack } from "./stateCommands.ts";
import { type RemovalRules, removeNamed, renameStack as renamed, setProtection } from "./stateEdit.ts";
import type { UpdateRecord } from "./store.ts";
import { isUrn, parseUrn } from "./urn.ts";

type Json = Record<string, unknown>;

/**
 * The state in the form of `pulumi stack export`, which `pulumi stack import` and `importStack` read.
 * @param show `showSecrets`: secrets in clear instead of encrypted
 * @throws when there is no state
 */
export async function exportStack(options: StateOptions, show: { showSecrets?: boolean } = {}): Promise<Json> {
  return withStack(options, false, async (stack) => {
    const form = await stack.loadForm();
    if (form === undefined) throw new Error(`Stack "${options.stack}" has no state yet.`);
    const file = form as { version: number; features?: string[]; checkpoint?: { latest?: Json } };
    const deployment = file.checkpoint?.latest ?? {};
    const decrypt = show.showSecrets ? await stack.decrypter() : undefined;
    return {
      version: file.version,
      ...(file.features && { features: file.features }),
      deployment: decrypt === undefined ? deployment : (inClear(deployment, decrypt) as Json),
    };
  });
}

/** Every secret with its JSON text in place of its ciphertext. */
function inClear(value: unknown, decrypt: (ciphertext: string) => string): unknown {
  if (Array.isArray(value)) return value.map((element) => inClear(element, decrypt));
  if (typeof value !== "object" || value === null) return value;
  const { [SIGNATURE_KEY]: signature, ciphertext } = value as Json;
  if (signature === SIGNATURES.secret && typeof ciphertext === "string") {
    return { [SIGNATURE_KEY]: signature, plaintext: decrypt(ciphertext) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, inClear(element, decrypt)]));
}

/**
 * Makes an exported state the stack's own; the one before stays as a backup. What is pending in it is dropped.
 * @param how `force`: a state with faults, or of another stack, is taken all the same
 * @returns what was dropped or is wrong, in words
 * @throws when the text is no state, or has faults and is not forced
 */
export async function importStack(
  options: StateOptions,
  text: string,
  how: { force?: boolean } = {},
): Promise<{ resources: number; warnings: string[] }> {
  return withStack(options, true, async (stack) => {
    const started = Date.now();
    // Broken as it may be, the state that stands there is to be replaced: its secrets' key goes to one that names none.
    await stack.load().catch(() => undefined);
    const snapshot = await stack.adopt(text);
    const faults = [...foreign(snapshot, stack.name, stack.project.name), ...integrityFaults(snapshot)];
    if (faults.length > 0 && !how.force) {
      throw new Error(
        `Nothing was imported: it could do damage.\n${faults.map((fault) => `  - ${fault}`).join("\n")}\nWith --force it is taken as it is.`,
      );
    }
    const dropped = snapshot.pendingOperations.map(
      ({ type, resource }) => `the pending operation "${type}" on ${resource.urn} was dropped`,
    );
    await stack.save({ ...snapshot, pendingOperations: [] });
    await stack.record({ kind: "import", result: "succeeded", changes: {}, started, message: "" });
    return { resources: snapshot.resources.length, warnings: [...faults, ...dropped] };
  });
}

function foreign({ resources }: Snapshot, stack: string, project: string): string[] {
  return resources.flatMap(({ urn }) => {
    if (!isUrn(urn)) return [`"${urn}" is no URN`];
    const parts = parseUrn(urn);
    if (parts.stack === stack && parts.project === project) return [];
    return [`${urn} is of the stack "${parts.stack}" of the project "${parts.project}"`];
  });
}

/**
 * Gives the stack another name: its state, history and settings file.
 * @returns the settings file under its new name; undefined: there was none
 * @throws when there is a stack, or a settings file, of that name
 */
export async function renameStack(options: StateOptions, to: string): Promise<{ settings: string | undefined }> {
  if (to === options.stack) throw new Error(`The stack is called "${to}" already.`);
  return withStack(options, true, async (stack) => {
    const project = await loadProject(options.projectDir);
    const from = (await loadStackSettings(project, stack.name)).file;
    const file = join(dirname(from), basename(from).replace(`.${stack.name}.`, `.${to}.`));
    const [there, taken] = await Promise.all(
      [from, file].map((path) =>
        readFile(path).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (there && taken) throw new Error(`There is a file of settings ${file} already.`);
    if ((await stack.loadForm()) === undefined)
      throw new Error(`Stack "${stack.name}" has no state yet: rename its file of settings.`);
    const snapshot = await stack.load();
    await stack.rename(to, renamed(snapshot, project.name, stack.name, to));
    if (there) await rename(from, file);
    return { settings: there ? file : undefined };
  });
}

/** A past update, with its number; 1 is the first that is kept. */
export type PastUpdate = UpdateRecord & { version: number };

/** The stack's updates, the latest first. Secret settings are encrypted. */
export async function stackHistory(options: StateOptions): Promise<PastUpdate[]> {
  return withStack(options, false, async (stack) => {
    const updates = await stack.history();
    return updates.map((update, index) => ({ ...update, version: updates.length - index }));
  });
}

/**
 * Takes resources out of the state without touching what they stand for.
 * @param urns undefined: all
 * @returns the URNs that left it
 * @throws with all that is in the way; nothing is changed then
 */
export async function deleteFromState(
  options: StateOptions,
  urns: string[] | undefined,
  rules: RemovalRules = {},
): Promise<string[]> {
  return edit(options, "resources taken out of the state", (snapshot) => {
    const { snapshot: left, removed } =
      urns === undefined ? removeAll(snapshot, rules) : removeNamed(snapshot, urns, rules);
    return { snapshot: left, urns: removed.map(({ urn }) => urn), changes: { discard: removed.length } };
  });
}

function removeAll(snapshot: Snapshot, { force }: RemovalRules): { snapshot: Snapshot; removed: ResourceState[] } {
  const shielded = snapshot.resources.filter(({ protect }) => protect);
  if (shielded.length > 0 && !force) {
    const list = shielded.map(({ urn }) => urn).join("\n  ");
    throw new Error(`Nothing was taken out of the state. Protected (--force takes them too):\n  ${list}`);
  }
  return { snapshot: { ...snapshot, resources: [], pendingOperations: [] }, removed: snapshot.resources };
}

/**
 * Protects resources from deletion, or no longer, in the state alone: the next update takes the program's word again.
 * @param urns undefined: all
 * @returns the URNs whose protection has changed
 */
export async function protectInState(
  options: StateOptions,
  urns: string[] | undefined,
  protect: boolean,
): Promise<string[]> {
  return edit(options, protect ? "resources protected" : "resources unprotected", (snapshot) => {
    const { snapshot: edited, changed } = setProtection(snapshot, urns, protect);
    return { snapshot: edited, urns: changed, changes: { update: changed.length } };
  });
}

async function edit(
  options: StateOptions,
  message: string,
  change: (snapshot: Snapshot) => {
    snapshot: Snapshot;
    urns: string[];
    changes: { discard?: number; update?: number };
  },
): Promise<string[]> {
  return withStack(options, true, async (stack) => {
    const started = Date.now();
    const { snapshot, urns, changes } = change(await stack.load());
    if (urns.length === 0) return urns;
    await stack.save(snapshot);
    await stack.record({ kind: "update", result: "succeeded", changes, started, message });
    return urns;
  });
}
