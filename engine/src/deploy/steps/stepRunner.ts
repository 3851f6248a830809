import { type CallContext, GivenUp, InitFailed } from "../../provider.ts";
import { DYNAMIC_PACKAGE } from "../../providers/dynamic/index.ts";
import { newProviderId, type ProviderRegistry, providerOutputs } from "../../providers/registry.ts";
import type { PendingOperation, PendingOperationType, ResourceState } from "../../resource.ts";
import { Refusal } from "../plan/goal.ts";
import { isProviderType, packageOf, UNKNOWN_ID } from "../plan/references.ts";
import { protectedFromDelete } from "../removal.ts";
import { cutOff } from "./cutOff.ts";
import type { Deletions } from "./deletions.ts";
import { containsUnknown, markOutputs } from "./marking.ts";
import { mustWrite } from "./mustWrite.ts";
import type { ProviderCalls } from "./providerCalls.ts";
import type { SnapshotManager } from "./snapshotManager.ts";
import type { Step } from "./step.ts";

export interface StepHost {
  readonly preview: boolean;
  readonly snapshot: SnapshotManager;
  readonly registry: ProviderRegistry;
  provider(reference: string): Promise<ProviderCalls>;
  /** @param seconds the resource's own time, 0: as long as it takes */
  context(urn: string, seconds?: number): CallContext;
  /** What is deleted in this run. */
  readonly deletions: Deletions;
  /** Everything that there is, as it was before the run and as the run has made it. */
  everything(): Iterable<ResourceState>;
  readonly killSignal: AbortSignal;
  /** True once running calls were cut off: what they have done is not known. */
  readonly killed: boolean;
}

/** Does one step: the intention is saved before the provider is called, the result before anybody is told. */
export class StepRunner {
  readonly #host: StepHost;

  constructor(host: StepHost) {
    this.#host = host;
  }

  /** @throws what the provider threw, after the state was saved */
  apply(step: Step): Promise<void> {
    switch (step.op) {
      case "same":
        return this.#same(step);
      case "create":
      case "create-replacement":
        return this.#create(step);
      case "update":
        return this.#update(step);
      case "delete":
      case "delete-replaced":
      case "discard":
      case "discard-replaced":
        return this.#delete(step);
      case "read":
      case "read-replacement":
        return this.#read(step);
      case "remove-pending-replace":
        this.#host.snapshot.lazily(() => this.#host.snapshot.done(step.old, undefined));
        return Promise.resolve();
      case "import":
      case "import-replacement":
        return this.#import(step);
      case "replace":
      case "refresh":
        return Promise.resolve();
    }
  }

  async #same({ old, new: state, kept, skipped }: Step): Promise<void> {
    if (skipped || old === undefined || state === undefined) return;
    if (kept) return this.#host.snapshot.done(old, state);
    state.id = old.id;
    state.outputs = markOutputs(old.outputs, state.inputs, state.additionalSecretOutputs ?? []);
    const { snapshot, registry } = this.#host;
    state.sourcePosition ??= old.sourcePosition;
    // What a newer engine has noted about the resource stays with it.
    state.unknownFields = old.unknownFields;
    if (isProviderType(state.type)) registry.register({ ...state, inputs: old.inputs });
    const change = () => snapshot.done(old, state);
    if (mustWrite(old, state)) snapshot.lazily(change);
    else change();
  }

  async #create({ old, new: state, condemnOld }: Step): Promise<void> {
    if (state === undefined) return;
    const { snapshot, registry, preview } = this.#host;
    const finish = () => {
      state.created = state.modified = new Date().toISOString();
      if (condemnOld && old !== undefined) old.delete = true;
      snapshot.done(old?.pendingReplacement ? old : undefined, state);
    };
    if (isProviderType(state.type)) {
      state.id = newProviderId(preview);
      state.outputs = providerOutputs(state.inputs);
      registry.register(state);
      return snapshot.lazily(finish);
    }
    if (!state.custom) return snapshot.lazily(finish);
    const seconds = state.customTimeouts?.create ?? 0;
    const provider = await this.#host.provider(state.provider ?? "");
    if (!preview) provider.expect(state);
    await this.#operation("creating", state, finish, async () => {
      const request = { ...this.#host.context(state.urn, seconds), inputs: state.inputs, preview, timeout: seconds };
      try {
        const { id, outputs } = await provider.create(request);
        if (id === "" && !preview) throw new Error("The provider made the resource but told no id for it.");
        state.id = id;
        this.#setOutputs(state, outputs);
      } catch (error) {
        if (error instanceof InitFailed) this.#setUnfinished(state, error);
        throw error;
      }
    });
  }

  async #update({ old, new: state, ignoreChanges }: Step): Promise<void> {
    if (old === undefined || state === undefined) return;
    const { snapshot, registry, preview } = this.#host;
    state.id = old.id;
    if (isProviderType(state.type)) {
      state.outputs = providerOutputs(state.inputs);
      state.modified = new Date().toISOString();
      registry.register(state);
      return snapshot.lazily(() => snapshot.done(old, state));
    }
    // A component's outputs are what it registers itself; until then they are what they were.
    if (!state.custom) {
      state.outputs = old.outputs;
      return snapshot.lazily(() => snapshot.done(old, state));
    }
    const finish = () => {
      state.modified = new Date().toISOString();
      snapshot.done(old, state);
    };
    const seconds = state.customTimeouts?.update ?? 0;
    const provider = await this.#host.provider(state.provider ?? "");
    await this.#operation("updating", state, finish, async () => {
      try {
        const { outputs } = await provider.update({
          ...this.#host.context(state.urn, seconds),
          id: old.id,
          oldInputs: old.inputs,
          oldOutputs: old.outputs,
          news: state.inputs,
          ignoreChanges: ignoreChanges ?? [],
          preview,
          timeout: seconds,
        });
        this.#setOutputs(state, outputs);
      } catch (error) {
        if (error instanceof InitFailed) {
          this.#setUnfinished(state, error);
          // With the new ones it would pass for updated once a refresh has cleared its reasons.
          state.inputs = old.inputs;
        }
        throw error;
      }
    });
  }

  async #delete({ op, old, keepPending }: Step): Promise<void> {
    if (old === undefined) return;
    const { snapshot, preview, deletions } = this.#host;
    // A replacement was checked against old and new protection when it was planned.
    if (old.protect && op === "delete") throw protectedFromDelete(old);
    const finish = () => {
      // Only now: had the delete failed, the next run must try it again.
      if (keepPending) old.pendingReplacement = true;
      else snapshot.done(old, undefined);
      deletions.gone(old, !keepPending);
    };
    const isOurs = old.custom && !old.external && !isProviderType(old.type);
    const isKept = !isOurs || old.retainOnDelete;
    const carrier = isKept ? deletions.carrierOfUsers(old) : deletions.carrierOf(old, this.#host.everything());
    if (carrier !== undefined) return deletions.goAlong(carrier, old, finish);
    if (isKept) return snapshot.lazily(finish);
    const seconds = old.customTimeouts?.delete ?? 0;
    if (preview) return finish();
    const provider = await this.#host.provider(old.provider ?? "");
    await this.#operation("deleting", old, finish, () =>
      provider.delete({
        ...this.#host.context(old.urn, seconds),
        id: old.id,
        inputs: old.inputs,
        outputs: old.outputs,
        timeout: seconds,
      }),
    );
  }

  async #read({ old, new: state, condemnOld }: Step): Promise<void> {
    if (state === undefined) return;
    const { snapshot, preview } = this.#host;
    const finish = () => {
      if (condemnOld && old !== undefined) old.delete = true;
      snapshot.done(condemnOld ? undefined : old, state);
      state.created = old?.created;
      state.modified = old?.modified;
    };
    if (preview && (state.id === "" || state.id === UNKNOWN_ID)) return finish();
    const provider = await this.#host.provider(state.provider ?? "");
    await this.#operation("reading", state, finish, async () => {
      // What is known of it stands for its outputs too, as with the official engine.
      const { inputs } = state;
      const request = { ...this.#host.context(state.urn), id: state.id, inputs, outputs: inputs };
      try {
        const found = await provider.read(request);
        if (found === undefined)
          throw new Refusal(`There is no ${state.type} with the id "${state.id}" to be read.`, state.urn);
        state.id = found.id;
        this.#setOutputs(state, found.outputs);
      } catch (error) {
        if (error instanceof InitFailed) this.#setUnfinished(state, error);
        throw error;
      }
    });
  }

  async #import({ old, new: state, condemnOld, importId = "", accept }: Step): Promise<void> {
    if (state === undefined) return;
    const { snapshot } = this.#host;
    // Its code travels with its properties, and an import has none.
    if (packageOf(state.type) === DYNAMIC_PACKAGE) {
      throw new Refusal(
        `${state.type} can't be imported: its code is the program's, and is not known here. The option \`id\` reads it without owning it; to own ` +
          "it, let its `create` take over what is there.",
        state.urn,
      );
    }
    const finish = () => {
      if (condemnOld && old !== undefined) old.delete = true;
      state.created = state.modified = new Date().toISOString();
      snapshot.done(condemnOld ? undefined : old, state);
    };
    const seconds = state.customTimeouts?.read ?? 0;
    const provider = await this.#host.provider(state.provider ?? "");
    await this.#operation("importing", state, finish, async () => {
      const context = this.#host.context(state.urn, seconds);
      const found = await provider.read({ ...context, id: importId, inputs: {}, outputs: {} }).catch((error) => {
        throw error instanceof InitFailed ? notWell(state, importId, error) : error;
      });
      if (found === undefined || found.id === "")
        throw new Refusal(`There is no ${state.type} with the id "${importId}" to be imported.`, state.urn);
      // A provider that can't read answers with what it was given, which was nothing.
      if (Object.keys(found.inputs).length + Object.keys(found.outputs).length === 0) {
        throw new Refusal(
          `${state.type} can't be imported: its provider can't read what is there. Let up make the resource anew.`,
          state.urn,
        );
      }
      state.id = found.id;
      state.inputs = found.inputs;
      this.#setOutputs(state, found.outputs);
      await accept?.(state);
    });
  }

  /** @throws InitFailed when the provider leaves values open in a real update: nobody could ever fill them in */
  #setOutputs(state: ResourceState, outputs: ResourceState["outputs"]): void {
    const open = this.#host.preview ? [] : Object.keys(outputs).filter((key) => containsUnknown(outputs[key] ?? null));
    const known = Object.fromEntries(Object.entries(outputs).filter(([key]) => !open.includes(key)));
    state.outputs = markOutputs(known, state.inputs, state.additionalSecretOutputs ?? []);
    if (open.length > 0) {
      throw new InitFailed(state.id, known, [
        `The provider answered with values that are not known: ${open.join(", ")}.`,
      ]);
    }
  }

  /** What is there of it, and why it is not well. */
  #setUnfinished(state: ResourceState, { id, outputs, reasons }: InitFailed): void {
    if (id !== "") state.id = id;
    state.initErrors = reasons;
    this.#setOutputs(state, outputs);
  }

  async #operation(
    type: PendingOperationType,
    state: ResourceState,
    finish: () => void,
    call: () => Promise<void>,
  ): Promise<void> {
    const { snapshot, preview } = this.#host;
    const operation: PendingOperation | undefined = preview ? undefined : await snapshot.begin(type, state);
    try {
      await cutOff(call(), this.#host.killSignal);
    } catch (error) {
      const exists = error instanceof InitFailed;
      // Cut off in the middle, nobody knows what was done: the operation stays in the state.
      const unknown = this.#host.killed || error instanceof GivenUp;
      if (exists || !unknown) await this.#end(operation, exists ? finish : () => {});
      throw error;
    }
    await this.#end(operation, finish);
  }

  async #end(operation: PendingOperation | undefined, change: () => void): Promise<void> {
    if (this.#host.preview) change();
    else await this.#host.snapshot.end(operation, change);
  }
}

function notWell({ type, urn }: ResourceState, id: string, { reasons }: InitFailed): Refusal {
  return new Refusal(
    `The ${type} with the id "${id}" is there, but not well, and was not imported: ${reasons.join("; ")}`,
    urn,
  );
}
