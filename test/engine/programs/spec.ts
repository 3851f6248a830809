// A program whose resources are described by its settings: `spec` is a JSON list of what to register, in order.
import * as pulumi from "@pulumi/pulumi";

interface Entry {
  name: string;
  /** Component instead of custom resource. */
  component?: boolean;
  /** `{"$out": "name"}` is that resource's output, `{"$secret": ["a", "b"]}` the secret "ab", which the settings do not hold. */
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  parent?: string;
  dependsOn?: string[];
  deletedWith?: string;
  options?: Record<string, unknown>;
  /** Read by its id instead of registered. */
  read?: string;
  /** Throws here instead of registering. */
  throws?: string;
  /** Throws nothing at all here. */
  throwsNothing?: boolean;
  /** Throws whenever the program has nothing more to do. */
  throwsAtEnd?: string;
  /** Ends the process here. */
  exits?: number;
  /** Waits here for something that never comes. */
  waits?: boolean;
  /** Is registered after something that never comes, for which the program itself does not wait. */
  stuck?: boolean;
  /** Is made in the `apply` of an output that never comes. */
  behind?: boolean;
}

class Thing extends pulumi.CustomResource {
  declare readonly out: pulumi.Output<string>;
  constructor(name: string, args: pulumi.Inputs, opts: pulumi.CustomResourceOptions) {
    super("fake:index:Thing", name, { out: undefined, ...args }, { version: "1.0.0", ...opts });
  }
}

class Part extends pulumi.ComponentResource {
  finish(outputs: pulumi.Inputs): void {
    this.registerOutputs(outputs);
  }
}

const made = new Map<string, pulumi.Resource>();

function resolve(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolve);
  if (typeof value !== "object" || value === null) return value;
  const object = value as Record<string, unknown>;
  if (typeof object.$out === "string") return (made.get(object.$out) as Thing).out;
  if (Array.isArray(object.$secret)) return pulumi.secret(object.$secret.join(""));
  return Object.fromEntries(Object.entries(object).map(([key, element]) => [key, resolve(element)]));
}

export default async () => {
  const config = new pulumi.Config();
  const outputs: Record<string, unknown> = {};
  for (const entry of config.requireObject<Entry[]>("spec")) {
    if (entry.throws) throw new Error(entry.throws);
    if (entry.throwsNothing) throw undefined;
    if (entry.throwsAtEnd) {
      process.on("beforeExit", () => {
        throw new Error(entry.throwsAtEnd);
      });
      continue;
    }
    if (entry.exits !== undefined) process.exit(entry.exits);
    if (entry.waits) await new Promise(() => {});
    if (entry.behind) {
      pulumi.output(new Promise<string>(() => {})).apply(() => new Thing(entry.name, {}, {}));
      continue;
    }
    const opts: pulumi.CustomResourceOptions = {
      ...entry.options,
      ...(entry.parent ? { parent: made.get(entry.parent) } : {}),
      ...(entry.dependsOn ? { dependsOn: entry.dependsOn.map((name) => made.get(name) as pulumi.Resource) } : {}),
      ...(entry.stuck ? { dependsOn: new Promise<pulumi.Resource>(() => {}) } : {}),
      ...(entry.deletedWith ? { deletedWith: made.get(entry.deletedWith) } : {}),
    };
    const inputs = resolve(entry.inputs ?? {}) as pulumi.Inputs;
    if (entry.component) {
      const part = new Part("test:index:Part", entry.name, inputs, opts);
      made.set(entry.name, part);
      part.finish(resolve(entry.outputs ?? {}) as pulumi.Inputs);
    } else {
      const thing = new Thing(entry.name, inputs, { ...opts, ...(entry.read ? { id: entry.read } : {}) });
      made.set(entry.name, thing);
      if (!entry.stuck) outputs[entry.name] = thing.out;
    }
  }
  return outputs;
};
