import { diffPaths } from "../../../engine/src/compare.ts";
import { type CallContext, InitFailed, type Provider, type ProviderFactory } from "../../../engine/src/provider.ts";
import { type PropertyMap, type PropertyValue, Secret, Unknown } from "../../../engine/src/values.ts";
import type { Machine } from "./machine.ts";
import { SECRET_MARK } from "./registrations.ts";

/** A thing that really exists, or did. */
export interface WorldObject {
  id: string;
  uid: number;
  inputs: PropertyMap;
  /** How often it was updated. */
  updates: number;
  alive: boolean;
  /** Left unfinished by what made or changed it last. */
  sick: boolean;
}

/** What each call tells the one who watches, before it has any effect. */
export interface Watcher {
  calling(type: "creating" | "updating" | "deleting", call: { urn: string; id: string | undefined; uid: number }): void;
  /** It is gone, but its provider will say that it failed. */
  unsaid(id: string): void;
}

/** What really exists, whatever the engine thinks; and the providers that make and remove it. */
export class World {
  readonly objects = new Map<string, WorldObject>();
  /** Told of every change that really happened; for a world that must outlive its process. */
  onChange: (object: WorldObject) => void = () => {};
  #made = 0;

  alive(): WorldObject[] {
    return [...this.objects.values()].filter((object) => object.alive);
  }

  /** For `options.providers`: of one run, whose faults and end they share. */
  providers(machine: Machine, watcher: Watcher): Record<string, ProviderFactory> {
    return {
      fake: () => new WorldProvider(this, machine, watcher, true),
      plain: () => new WorldProvider(this, machine, watcher, false),
    };
  }

  make(uid: number, inputs: PropertyMap): WorldObject {
    const object = { id: `obj-${uid}-${++this.#made}`, uid, inputs, updates: 0, alive: true, sick: false };
    this.put(object);
    return object;
  }

  put(object: WorldObject): void {
    this.objects.set(object.id, object);
    this.#made = Math.max(this.#made, Number(object.id.slice(object.id.lastIndexOf("-") + 1)));
    this.onChange(object);
  }

  /** With all that is inside it. */
  remove(object: WorldObject): void {
    object.alive = false;
    this.onChange(object);
    for (const other of this.alive()) if (plain(other.inputs.inside) === object.id) this.remove(other);
  }

  outputsOf({ id, uid, inputs, updates }: WorldObject): PropertyMap {
    const clever = plain(inputs.plain) !== true;
    return {
      ...inputs,
      out: `out of ${uid}, ${String(plain(inputs.n))}`,
      // A provider that knows no secrets can't mark its own; what it tells is no secret then.
      hidden: clever ? new Secret(`${SECRET_MARK}-out-${uid}`) : `open-${uid}`,
      self: id,
      updates,
    };
  }

  /** Why it can't be made or changed to have these inputs; undefined: it can. */
  obstacle(inputs: PropertyMap, own?: WorldObject): string | undefined {
    const place = (of: PropertyMap): string =>
      `${String(plain(of.handle))} in ${String(plain(of.inside) ?? "the world")}`;
    const names = place(inputs);
    const holder = this.alive().find((object) => object !== own && place(object.inputs) === names);
    if (holder !== undefined) return `the name ${names} is taken by ${holder.id}`;
    for (const [key, value] of Object.entries(inputs)) {
      const id = plain(value);
      if (typeof id !== "string" || !id.startsWith("obj-") || this.objects.get(id)?.alive) continue;
      if (own === undefined || plain(own.inputs[key]) !== id) return `${key} names ${id}, which does not exist`;
    }
    return undefined;
  }
}

export function plain(value: PropertyValue | undefined): PropertyValue | undefined {
  return value instanceof Secret ? plain(value.element) : value;
}

class WorldProvider implements Provider {
  readonly supportsPreview: boolean;
  readonly acceptsSecrets: boolean;
  readonly #world: World;
  readonly #machine: Machine;
  readonly #watcher: Watcher;
  readonly #clever: boolean;

  constructor(world: World, machine: Machine, watcher: Watcher, clever: boolean) {
    this.#world = world;
    this.#machine = machine;
    this.#watcher = watcher;
    this.#clever = this.supportsPreview = this.acceptsSecrets = clever;
  }

  /** Gives a thing a name, which stays its own as long as it is the same one. */
  async check({ type, name, news, olds, randomSeed }: Parameters<Provider["check"]>[0]) {
    await this.#faulty("check");
    const made = `${name}-${Buffer.from(randomSeed).toString("hex").slice(0, 12)}`;
    const handle = type.endsWith(":Solo") ? `solo-${String(plain(news.uid))}` : (olds?.handle ?? made);
    return { inputs: { ...news, handle, ...(this.#clever ? {} : { plain: true }) }, failures: [] };
  }

  async diff({ type, oldInputs, news }: Parameters<Provider["diff"]>[0]) {
    await this.#faulty("diff");
    const changed = diffPaths(oldInputs, news);
    const replaceKeys = changed.filter((path) => /^(fixed|hard|inside|handle)/.test(path));
    return {
      changes: this.#clever ? (changed.length > 0 ? "some" : "none") : replaceKeys.length > 0 ? "some" : "unknown",
      changedKeys: changed,
      replaceKeys,
      deleteBeforeReplace: type.endsWith(":Solo"),
    } as const;
  }

  async create({ urn, inputs, preview, signal }: Parameters<Provider["create"]>[0]) {
    if (preview) return { id: "", outputs: { ...inputs, ...unknownOutputs } };
    const machine = this.#machine;
    const uid = Number(plain(inputs.uid));
    await machine.pause();
    this.#watcher.calling("creating", { urn, id: undefined, uid });
    const fault = await this.#faulty("create", signal);
    const obstacle = this.#world.obstacle(inputs);
    if (obstacle !== undefined) throw this.#failure(`cannot create: ${obstacle}`);
    const object = this.#world.make(uid, inputs);
    if (fault === "half") object.sick = true;
    await machine.pause();
    if (fault === "late") return machine.hang(signal);
    if (fault === "half") throw this.#halfDone(object, "made, but not well");
    const outputs = this.#world.outputsOf(object);
    return { id: object.id, outputs: fault === "leak" ? { ...outputs, out: Unknown.value } : outputs };
  }

  async update({ urn, id, news, preview, signal }: Parameters<Provider["update"]>[0]) {
    const object = this.#world.objects.get(id);
    if (preview) {
      return {
        outputs: this.#world.outputsOf({
          ...(object as WorldObject),
          inputs: news,
          updates: (object?.updates ?? 0) + 1,
        }),
      };
    }
    await this.#machine.pause();
    this.#watcher.calling("updating", { urn, id, uid: Number(plain(news.uid)) });
    const fault = await this.#faulty("update", signal);
    if (!object?.alive) throw this.#failure(`cannot update ${id}: there is no such thing`);
    const obstacle = this.#world.obstacle(news, object);
    if (obstacle !== undefined) throw this.#failure(`cannot update ${id}: ${obstacle}`);
    object.inputs = news;
    object.updates++;
    object.sick = fault === "half";
    this.#world.onChange(object);
    await this.#machine.pause();
    if (fault === "late") return this.#machine.hang(signal);
    // Two ways to fail half-way: by saying so, and by not saying so.
    if (fault === "half" && object.updates % 2 === 0) throw this.#halfDone(object, "changed, but not well");
    if (fault === "half") throw this.#failure("changed, and then it failed");
    const outputs = this.#world.outputsOf(object);
    return { outputs: fault === "leak" ? { ...outputs, out: Unknown.value } : outputs };
  }

  async delete({ urn, id, inputs, signal }: Parameters<Provider["delete"]>[0]) {
    await this.#machine.pause();
    this.#watcher.calling("deleting", { urn, id, uid: Number(plain(inputs.uid)) });
    const fault = await this.#faulty("delete", signal);
    if (fault !== undefined) this.#watcher.unsaid(id);
    const object = this.#world.objects.get(id);
    if (object?.alive) this.#world.remove(object);
    await this.#machine.pause();
    if (fault === "late") return this.#machine.hang(signal);
    if (fault !== undefined) throw new Error("deleted, and then it failed");
  }

  async read({ id, signal }: Parameters<Provider["read"]>[0]) {
    await this.#machine.pause();
    await this.#faulty("read", signal);
    const object = this.#world.objects.get(id);
    if (object?.alive && object.sick) throw this.#halfDone(object, "it is not well");
    return object?.alive ? { id, inputs: object.inputs, outputs: this.#world.outputsOf(object) } : undefined;
  }

  async close(): Promise<void> {}

  async #faulty(on: Parameters<Machine["fault"]>[0], signal?: CallContext["signal"]) {
    const fault = this.#machine.fault(on);
    const goesOn = on === "create" || on === "update" || on === "delete";
    if (fault === "hang" && signal !== undefined) {
      if (on !== "delete") this.#machine.failed = true;
      return this.#machine.hang(signal);
    }
    if (fault === "fail" || (fault !== undefined && !goesOn)) throw this.#failure(`injected: the ${on} fails`, on);
    if (fault !== undefined && on !== "delete") this.#machine.failed = true;
    return fault;
  }

  #failure(message: string, on = "create"): Error {
    if (on !== "delete") this.#machine.failed = true;
    return new Error(message);
  }

  #halfDone(object: WorldObject, reason: string): InitFailed {
    return new InitFailed(object.id, this.#world.outputsOf(object), [`injected: ${reason}`]);
  }
}

const unknownOutputs = {
  out: Unknown.value,
  hidden: new Secret(Unknown.value),
  self: Unknown.value,
  updates: Unknown.value,
};
