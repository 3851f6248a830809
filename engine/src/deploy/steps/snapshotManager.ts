import type { PendingOperation, PendingOperationType, ResourceState, Snapshot } from "../../resource.ts";
import { renameReferences } from "../../stateEdit.ts";

/** A save that takes no longer is not worth waiting for another. */
const QUICK_MS = 5;
/** Of the time that a save took, what the next waits for others. */
const WAIT_FACTOR = 0.5;
const LONGEST_WAIT_MS = 100;

/**
 * Keeps the state of a running deployment, and its file.
 * What this run has done comes first, in the order in which it was done; then the old resources that it has not touched,
 * in theirs: that is a topological order at any moment.
 */
export class SnapshotManager {
  readonly #write: (snapshot: Snapshot) => Promise<void>;
  readonly #base: Snapshot;
  #old: ResourceState[];
  readonly #gone = new Set<ResourceState>();
  readonly #done = new Set<ResourceState>();
  readonly #ready: () => Promise<unknown>;
  readonly #order: (resources: ResourceState[]) => ResourceState[];
  readonly #operations = new Set<PendingOperation>();
  /** Those that run: the others wait for a save themselves. */
  readonly #atWork = new Set<PendingOperation>();
  /** Ends a wait for others, of which there are none any more. */
  #allCame: (() => void) | undefined;
  /** URNs that this run gave another name, by alias. */
  readonly #renamed = new Map<string, string>();
  #kept: PendingOperation[];
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #dirty = false;
  /** How long the last save took. */
  #lastMs = 0;

  /**
   * @param write saves a snapshot; never called twice at once
   * @param options `order` makes a topological order of a run that leaves resources alone: what it has done may lean on them;
   * `ready` resolves when there is what the first save has to wait for and no other, the key of its secrets
   */
  constructor(
    base: Snapshot,
    write: (snapshot: Snapshot) => Promise<void>,
    {
      order = (resources) => resources,
      ready = async () => {},
    }: { order?: ((resources: ResourceState[]) => ResourceState[]) | undefined; ready?: () => Promise<unknown> } = {},
  ) {
    this.#order = order;
    this.#ready = ready;
    this.#base = base;
    this.#old = [...base.resources];
    this.#write = write;
    // Whether an interrupted create has made something is for a human, or a refresh, to say; the rest is settled by what follows.
    this.#kept = base.pendingOperations.filter((operation) => operation.type === "creating");
    this.#dirty = this.#kept.length !== base.pendingOperations.length;
  }

  /** Records what is about to be done; resolves when that is saved. @throws when it can't be: it must not be done then */
  async begin(type: PendingOperationType, resource: ResourceState): Promise<PendingOperation> {
    const operation = { type, resource };
    this.#operations.add(operation);
    try {
      await this.save();
    } catch (error) {
      this.#operations.delete(operation);
      throw error;
    }
    this.#atWork.add(operation);
    return operation;
  }

  /** Records what was done and saves it. */
  async end(operation: PendingOperation | undefined, change: () => void): Promise<void> {
    if (operation !== undefined) {
      this.#operations.delete(operation);
      this.#atWork.delete(operation);
    }
    change();
    const saved = this.save();
    if (this.#atWork.size === 0) this.#allCame?.();
    await saved;
  }

  /** A change that may wait for the next save: it has no effect outside the state. */
  lazily(change: () => void): void {
    change();
    this.#dirty = true;
  }

  /** `replacement` takes the place of `old`, at the end of what is done. */
  done(old: ResourceState | undefined, replacement: ResourceState | undefined): void {
    if (old !== undefined) this.#gone.add(old);
    // What this run has itself imported or refreshed may be changed by it too.
    if (old !== undefined) this.#done.delete(old);
    if (replacement !== undefined) this.#done.add(replacement);
  }

  rename(from: string, to: string): void {
    this.#renamed.set(from, to);
  }

  /** The old resources as a refresh has found them. */
  rebase(resources: ResourceState[]): void {
    this.#old = [...resources];
    this.#gone.clear();
    this.#done.clear();
  }

  dropKeptOperations(dropped: (resource: ResourceState) => boolean): PendingOperation[] {
    const gone = this.#kept.filter(({ resource }) => dropped(resource));
    if (gone.length > 0) this.#dirty = true;
    this.#kept = this.#kept.filter((operation) => !gone.includes(operation));
    return gone;
  }

  current(): Snapshot {
    const resources = [...this.#done, ...this.#old.filter((state) => !this.#gone.has(state))];
    return {
      ...this.#base,
      resources: this.#order(withoutGoneNames(this.#renamed.size === 0 ? resources : this.#withNewNames(resources))),
      pendingOperations: [...this.#kept, ...this.#operations],
    };
  }

  /** A new name holds once its bearer is in the state; what is condemned means the old bearer as long as it comes after that. */
  #withNewNames(resources: ResourceState[]): ResourceState[] {
    const urns = new Set(resources.map(({ urn }) => urn));
    const names = new Map([...this.#renamed].filter(([, to]) => urns.has(to)));
    const before = new Set<string>();
    return resources.map((state) => {
      const renamed = renameReferences(state, (urn) =>
        state.delete && before.has(urn) ? urn : (names.get(urn) ?? urn),
      );
      before.add(state.urn);
      return renamed;
    });
  }

  /** Resolves when everything up to now is in the file. Saves that come while one is under way become one. */
  save(): Promise<void> {
    this.#dirty = true;
    if (this.#queued !== undefined) return this.#queued;
    const write = async (): Promise<void> => {
      try {
        await this.#ready();
        await this.#others();
      } finally {
        this.#queued = undefined;
      }
      this.#dirty = false;
      const began = performance.now();
      try {
        await this.#write(this.current());
      } catch (error) {
        this.#dirty = true;
        throw error;
      }
      this.#lastMs = performance.now() - began;
    };
    const queued = this.#running.then(write);
    this.#queued = queued;
    this.#running = queued.catch(() => {});
    return queued;
  }

  /**
   * Waits for saves that come at the same moment; with a state that takes long to write, and others at work, for those that come
   * soon: every save writes all of it, and one that serves many leaves the time for the work itself.
   */
  #others(): Promise<void> {
    const worthIt = this.#atWork.size > 0 && this.#lastMs > QUICK_MS;
    const ms = Math.min(this.#lastMs * WAIT_FACTOR, LONGEST_WAIT_MS);
    return new Promise((resolve) => {
      if (!worthIt) return void setImmediate(resolve);
      const end = () => {
        this.#allCame = undefined;
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#allCame = end;
    });
  }

  /** Saves what is not saved; a run that changed nothing leaves the file alone. */
  async flush(): Promise<void> {
    if (this.#dirty || this.#queued !== undefined) await this.save();
  }
}

/** A former name is told as long as something in the state still bears it. */
function withoutGoneNames(resources: ResourceState[]): ResourceState[] {
  if (resources.every(({ aliases = [] }) => aliases.length === 0)) return resources;
  const urns = new Set(resources.map(({ urn }) => urn));
  return resources.map((state) => {
    const aliases = state.aliases?.filter((urn) => urns.has(urn));
    return aliases?.length === state.aliases?.length ? state : { ...state, aliases };
  });
}
