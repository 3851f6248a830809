import type { PropertyMap, PropertyValue } from "../../../engine/src/values.ts";
import type { Disk } from "./disk.ts";
import type { Machine } from "./machine.ts";
import { type InputValue, type Registration, SECRET_MARK } from "./registrations.ts";
import {
  faultsOf,
  isLive,
  isObject,
  leansOn,
  operationsOf,
  resourcesOf,
  type SavedResource,
  type SavedState,
  uidOf,
} from "./saved.ts";
import { plain, type Watcher, type World } from "./world.ts";

export type Operation = "preview" | "up" | "refresh" | "destroy";

/**
 * Looks at every state that comes to lie on the disk, and at every call of a provider before it has its effect, and notes what
 * must never be: so a process killed at that moment would leave nothing wrong either.
 */
export class Watch implements Watcher {
  /** What must not be, in words. */
  readonly wrong: string[] = [];
  /** Objects that live on, and that nobody has to know any more: kept on purpose, or told to the user as theirs. */
  readonly excused = new Set<string>();
  /** Those among them that a refresh has told the user of. */
  readonly forgiven = new Set<string>();
  /** Objects of which the state may say that they are there though they are not: their end was never told, or came by other hands. */
  readonly lost = new Set<string>();
  readonly world: World;
  operation: Operation = "up";
  disk!: Disk;
  machine!: Machine;
  /** uids of the program of this run. */
  #wanted = new Set<number>();
  #mayBeReplaced = new Set<number>();

  constructor(world: World) {
    this.world = world;
  }

  begin(operation: Operation, disk: Disk, machine: Machine, registrations: Registration[]): void {
    this.operation = operation;
    this.disk = disk;
    this.machine = machine;
    this.#wanted = new Set(registrations.map(({ uid }) => uid));
    this.#mayBeReplaced = replaceable(resourcesOf(disk.saved), registrations);
    this.#previous = disk.saved;
  }

  #previous: SavedState | undefined;

  note(what: string): void {
    this.wrong.push(`${this.operation}: ${what}`);
  }

  /** A state that lies on the disk now. */
  saved(state: SavedState, text: string): void {
    for (const fault of faultsOf(state)) this.note(`a saved state is not sound: ${fault}`);
    if (text.includes(SECRET_MARK)) {
      this.note(`a secret stands in clear in the state: ${text.slice(text.indexOf(SECRET_MARK) - 300).slice(0, 340)}`);
    }
    const resources = resourcesOf(state);
    const ids = new Set<string>();
    for (const resource of resources.filter(isObject)) {
      const id = resource.id ?? "";
      if (ids.has(id)) this.note(`${id} is in the state twice`);
      ids.add(id);
      this.#checkPresent(resource, state);
    }
    this.#checkKnown(ids, state);
    this.#previous = state;
  }

  /** What the state says is there must be there. */
  #checkPresent(resource: SavedResource, state: SavedState): void {
    const object = this.world.objects.get(resource.id ?? "");
    if (object === undefined) {
      this.note(`${resource.urn} has the id ${resource.id}, which never existed`);
      return;
    }
    if (object.uid !== uidOf(resource)) this.note(`${resource.urn} has the id of another: ${object.id}`);
    if (resource.pendingReplacement && object.alive && !resource.retainOnDelete) {
      this.note(`${resource.urn} is said to be deleted, but ${object.id} is there`);
    }
    if (object.alive || resource.pendingReplacement || this.lost.has(object.id)) return;
    // It was to go anyhow, and what it lay in went first.
    if (resource.delete && object.inputs.inside !== undefined) return;
    // Its own delete is under way, or that of what it is in.
    const going = operationsOf(state)
      .filter(({ type }) => type === "deleting")
      .map((operation) => operation.resource);
    const within = (id: unknown): boolean => going.some((one) => one.id === id) || this.lost.has(String(id));
    let inside: PropertyValue | undefined = object.id;
    for (let at: string | undefined = object.id; at !== undefined; ) {
      if (within(at)) return;
      inside = plain(this.world.objects.get(at)?.inputs.inside);
      at = typeof inside === "string" ? inside : undefined;
    }
    this.note(`${resource.urn} has the id ${object.id}, which is deleted, and no operation is pending`);
  }

  /** What is there must be in the state, or be named by an operation that was begun. */
  #checkKnown(ids: Set<string>, state: SavedState): void {
    const creating = (of: SavedState | undefined, uid: number): boolean =>
      operationsOf(of).some(({ type, resource }) => type === "creating" && uidOf(resource) === uid);
    for (const object of this.world.alive()) {
      if (ids.has(object.id) || this.excused.has(object.id) || creating(state, object.uid)) continue;
      const last = resourcesOf(this.#previous).find((resource) => resource.id === object.id);
      const told = this.operation === "refresh" && creating(this.#previous, object.uid);
      if (last?.retainOnDelete || told) this.excused.add(object.id);
      if (told) this.forgiven.add(object.id);
      if (!last?.retainOnDelete && !told) this.note(`${object.id} exists, and the state has forgotten it`);
    }
  }

  unsaid(id: string): void {
    this.lost.add(id);
  }

  /** A provider is about to act. */
  calling(
    type: "creating" | "updating" | "deleting",
    call: { urn: string; id: string | undefined; uid: number },
  ): void {
    const { saved, locks } = this.disk;
    const what = `${type} ${call.urn} (${call.id ?? "new"})`;
    if (this.operation === "preview" || this.operation === "refresh") this.note(`it acts: ${what}`);
    if (this.disk.heldLocks() !== 1) this.note(`${what} without the lock (${locks})`);
    const pending = operationsOf(saved).some((one) => one.type === type && one.resource.urn === call.urn);
    if (!pending) this.note(`${what} while no pending operation is in the file`);
    const own = resourcesOf(saved).find((resource) => resource.id === call.id);
    if (type !== "creating" && own === undefined) this.note(`${what}, which the state does not hold`);
    if (type === "creating") this.#creating(what, call.uid);
    if (type === "deleting" && own !== undefined) this.#deleting(what, own, call.uid);
  }

  /** Nothing is made twice: what is there and is wanted stays, unless it can't. */
  #creating(what: string, uid: number): void {
    if (this.operation !== "up" || !this.#wanted.has(uid)) this.note(`${what}, which nobody wants`);
    const there = resourcesOf(this.disk.saved).find(
      (resource) => uidOf(resource) === uid && isObject(resource) && isLive(resource),
    );
    if (there !== undefined && !this.#mayBeReplaced.has(uid)) this.note(`${what}, though ${there.id} is there already`);
  }

  #deleting(what: string, own: SavedResource, uid: number): void {
    if (own.retainOnDelete) this.note(`${what}, which is to be kept`);
    if (own.protect && (this.operation === "destroy" || !this.#wanted.has(uid)) && !own.delete) {
      this.note(`${what}, which is protected`);
    }
    const gone = !this.#wanted.has(uid) && !this.#mayBeReplaced.has(uid);
    const replaced = this.operation === "up" && !gone && !own.delete;
    if (replaced && !this.#mayBeReplaced.has(uid)) this.note(`${what}, which is still wanted`);
    if (this.operation === "up" && !replaced) {
      // What was condemned before may go with the first that it leans on.
      if (!this.machine.programDone && !own.delete) this.note(`${what} before the program has said all that it wants`);
      if (this.machine.failed) this.note(`${what} although something has failed before`);
    }
    this.#checkOrder(what, own, replaced);
  }

  /** By its own wish, or because that which it goes along with does. */
  #goesAlong(resource: SavedResource, carrier: SavedResource): boolean {
    const all = resourcesOf(this.disk.saved);
    const within = new Set([resource.deletedWith]);
    for (const urn of within) for (const one of all) if (one.urn === urn) within.add(one.deletedWith);
    return within.has(carrier.urn);
  }

  /** It leans on what the other goes along with, or what lies in it does: so it has to go first though the other needs it. */
  #mustGoFirst(own: SavedResource, other: SavedResource): boolean {
    const all = resourcesOf(this.disk.saved);
    const seen = new Set([own.urn]);
    for (const urn of seen) {
      const within = all.filter(
        (one) => one.urn === urn || all.some((at) => at.urn === urn && this.#goesAlong(one, at)),
      );
      for (const one of within) for (const next of leansOn(one)) seen.add(next);
    }
    return all.some((carrier) => seen.has(carrier.urn) && this.#goesAlong(other, carrier));
  }

  /** Nothing goes before what leans on it. */
  #checkOrder(what: string, own: SavedResource, replaced: boolean): void {
    const users = this.world.alive().filter((object) => {
      const holds = Object.entries(object.inputs).some(([key, value]) => /^hard/.test(key) && plain(value) === own.id);
      return (
        holds && !this.excused.has(object.id) && !this.lost.has(object.id) && plain(object.inputs.inside) !== own.id
      );
    });
    for (const user of users) {
      const resource = resourcesOf(this.disk.saved).find(({ id }) => id === user.id);
      if (resource === undefined || resource.retainOnDelete || this.#mustGoFirst(own, resource)) continue;
      this.note(`${what} while ${user.id} still needs it`);
    }
    if (replaced || own.delete) return;
    for (const other of resourcesOf(this.disk.saved)) {
      if (other.id === own.id || other.pendingReplacement || !leansOn(other).has(own.urn)) continue;
      if (this.#goesAlong(other, own) || this.#mustGoFirst(own, other)) continue;
      this.note(`${what} while ${other.urn} still leans on it`);
    }
  }
}

/** The uids that may be made anew by this program: more than will be, and none that must not. */
function replaceable(resources: SavedResource[], registrations: Registration[]): Set<number> {
  const outputs = new Map(resources.filter(isLive).map((resource) => [uidOf(resource), resource.outputs ?? {}]));
  const live = new Map<number, SavedResource>();
  for (const resource of resources) {
    const uid = uidOf(resource);
    if (uid !== undefined && isObject(resource) && isLive(resource)) live.set(uid, resource);
  }
  const uidOfUrn = new Map([...live].map(([uid, resource]) => [resource.urn, uid]));
  const changes = new Set<number>();
  const replaced = new Set<number>();
  for (const one of registrations) {
    const old = live.get(one.uid);
    if (old === undefined) {
      changes.add(one.uid);
      continue;
    }
    const before = old.inputs ?? {};
    const keys = new Set([...Object.keys(one.inputs), ...Object.keys(before)]);
    const leans = new Map<string, number[]>();
    for (const [key, urns] of Object.entries(old.propertyDependencies ?? {})) {
      leans.set(
        key,
        (urns ?? []).map((urn) => uidOfUrn.get(urn)).filter((uid) => uid !== undefined),
      );
    }
    for (const [key, value] of Object.entries(one.inputs)) {
      if (typeof value === "object" && "from" in value) leans.set(key, [...(leans.get(key) ?? []), value.from]);
    }
    const differs = (key: string): boolean =>
      key !== "handle" &&
      key !== "plain" &&
      (!same(outputs, one.inputs[key], before[key]) || (leans.get(key)?.some((uid) => changes.has(uid)) ?? false));
    const different = [...keys].filter(differs);
    const sick = (old.initErrors?.length ?? 0) > 0;
    if (different.length > 0 || sick) changes.add(one.uid);
    const forced = different.filter((key) => /^(fixed|hard|inside)/.test(key) || one.replaceOnChanges.includes(key));
    const within = one.deletedWith !== undefined && replaced.has(one.deletedWith);
    if (forced.length > 0 || within || (old.deletedWith && replaced.has(uidOfUrn.get(old.deletedWith) ?? -1))) {
      replaced.add(one.uid);
    }
  }
  // What the program does not hold any more goes before its end, too, when what it can't be without is replaced.
  const held = new Set(registrations.map(({ uid }) => uid));
  for (const [uid, old] of live) {
    if (held.has(uid)) continue;
    const hard = Object.entries(old.propertyDependencies ?? {}).filter(([key]) => /^(hard|inside)/.test(key));
    const on = hard.flatMap(([, urns]) => (urns ?? []).map((urn) => uidOfUrn.get(urn) ?? -1));
    if (on.some((one) => changes.has(one) || replaced.has(one))) {
      changes.add(uid);
      replaced.add(uid);
    }
  }
  return replaced;
}

function same(
  outputs: Map<number | undefined, Record<string, unknown>>,
  value: InputValue | undefined,
  saved: unknown,
): boolean {
  if (value === undefined || saved === undefined) return value === saved;
  if (typeof value !== "object") return value === saved;
  if ("secret" in value) return true;
  const { out, hidden } = outputs.get(value.from) ?? {};
  // Encrypted, values can't be compared: what is hidden never changes, but must not be taken for another that is encrypted.
  if (value.output === "hidden" && typeof saved === "object") return typeof out !== "object";
  if (value.output === "hidden") return saved === hidden;
  return saved === outputs.get(value.from)?.[value.output === "id" ? "self" : value.output];
}

/** The inputs that an object must have to be what the program says, where the state says which object is which. */
export function expectedInputs(one: Registration, outputs: (uid: number) => PropertyMap | undefined): PropertyMap {
  return Object.fromEntries(
    Object.entries(one.inputs).map(([key, value]) => {
      if (typeof value !== "object") return [key, value];
      if ("secret" in value) return [key, value.secret];
      const of = value.output === "id" ? "self" : value.output;
      return [key, plain(outputs(value.from)?.[of]) ?? null];
    }),
  );
}
