// A random program for real: its registrations stand in the settings. Things are local commands, the others dynamic resources.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { InputValue, ProgramText, Registration } from "../random/registrations.ts";

interface Made extends pulumi.Resource {
  id?: pulumi.Output<string>;
  out?: pulumi.Output<string>;
}

class Part extends pulumi.ComponentResource {
  constructor(name: string, inputs: pulumi.Inputs, opts: pulumi.ComponentResourceOptions) {
    super("test:index:Part", name, inputs, opts);
    this.registerOutputs({ n: inputs.n });
  }
}

class Note extends pulumi.dynamic.Resource {
  declare readonly out: pulumi.Output<string>;
  constructor(name: string, solo: boolean, inputs: pulumi.Inputs, opts: pulumi.CustomResourceOptions) {
    super(provider(solo), name, { out: undefined, ...inputs }, opts);
  }
}

function provider(solo: boolean): pulumi.dynamic.ResourceProvider {
  return {
    async diff(_id, olds, news) {
      const keys = [...new Set([...Object.keys(olds), ...Object.keys(news)])];
      const changed = keys.filter(
        (key) => key !== "out" && key !== "__provider" && JSON.stringify(olds[key]) !== JSON.stringify(news[key]),
      );
      const replaces = changed.filter((key) => /^(fixed|hard|inside)/.test(key));
      return { changes: changed.length > 0, replaces, deleteBeforeReplace: solo };
    },
    async create(inputs) {
      return {
        id: `note-${inputs.uid}-${inputs.fixed}`,
        outs: { ...inputs, out: `out of ${inputs.uid}, ${inputs.n}` },
      };
    },
    async update(_id, _olds, news) {
      return { outs: { ...news, out: `out of ${news.uid}, ${news.n}` } };
    },
    async delete() {},
  };
}

const made = new Map<number, Made>();
const log = new pulumi.Config().get("log");

/** A line in the log, where there is one, of what a command does. */
function note(sign: string, uid: number): string {
  return log === undefined ? "true" : `echo '${sign} ${uid}' >> '${log}'`;
}

function resolve(value: InputValue): pulumi.Input<string | number> {
  if (typeof value !== "object") return value;
  if ("secret" in value) return pulumi.secret(value.secret);
  const source = made.get(value.from);
  if (value.output === "id") return source?.id ?? "";
  return value.output === "out" ? (source?.out ?? "") : pulumi.secret(source?.out ?? "");
}

function commandOf({ name, inputs, ...one }: Registration, opts: pulumi.CustomResourceOptions): Made {
  const fixed = Object.keys(inputs).filter((key) => /^(fixed|hard|inside)/.test(key));
  const soft = Object.keys(inputs).filter((key) => key.startsWith("soft"));
  const environment = {
    N: String(inputs.n),
    ...Object.fromEntries(soft.map((key) => [key, pulumi.interpolate`${resolve(inputs[key]!)}`])),
  };
  const paths = (keys: string[]): string[] => keys.map(() => "environment.N");
  const made = new command.local.Command(
    name,
    {
      create: `${note("+", one.uid)}; echo out of ${one.uid}, $N`,
      update: `echo out of ${one.uid}, $N`,
      delete: note("-", one.uid),
      environment,
      stdin: inputs.secret === undefined ? undefined : pulumi.interpolate`${resolve(inputs.secret)}`,
      // The official plugin can't preview a secret that is not known yet among the triggers.
      triggers: fixed.map((key) => pulumi.unsecret(pulumi.output(resolve(inputs[key]!)))),
    },
    {
      ...opts,
      ignoreChanges: paths(one.ignoreChanges),
      replaceOnChanges: paths(one.replaceOnChanges),
      additionalSecretOutputs: one.additionalSecretOutputs.map(() => "stdout"),
    },
  );
  return Object.assign(made, { out: made.stdout });
}

for (const one of new pulumi.Config().requireObject<ProgramText>("program").registrations) {
  const { name, type, ignoreChanges, replaceOnChanges, additionalSecretOutputs } = one;
  const opts: pulumi.CustomResourceOptions = {
    parent: one.parent === undefined ? undefined : made.get(one.parent),
    dependsOn: one.dependsOn.map((uid) => made.get(uid) as pulumi.Resource),
    deletedWith: one.deletedWith === undefined ? undefined : made.get(one.deletedWith),
    deleteBeforeReplace: one.deleteBeforeReplace,
    retainOnDelete: one.retainOnDelete,
    aliases: one.aliases,
  };
  const inputs = Object.fromEntries(Object.entries(one.inputs).map(([key, value]) => [key, resolve(value)]));
  if (type === "test:index:Part")
    made.set(one.uid, new Part(name, inputs, { parent: opts.parent, aliases: opts.aliases }));
  else if (type === "fake:index:Thing") made.set(one.uid, commandOf(one, opts));
  else {
    const more = { ignoreChanges, replaceOnChanges, additionalSecretOutputs };
    made.set(one.uid, new Note(name, type === "fake:index:Solo", inputs, { ...opts, ...more }));
  }
}
