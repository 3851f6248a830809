// Everything that both engines cover: components, dynamic resources, local and remote commands, copies, secrets of every origin.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const who = config.get("who") ?? "ann";
const password = config.requireSecret("password");

const provider: pulumi.dynamic.ResourceProvider = {
  async create(inputs) {
    return { id: `note-${inputs.who}`, outs: { ...inputs, made: `for ${inputs.who}` } };
  },
  async diff(_id, olds, news) {
    return { changes: olds.who !== news.who || olds.password !== news.password };
  },
  async update(_id, _olds, news) {
    return { outs: { ...news, made: `for ${news.who}` } };
  },
};

class Note extends pulumi.dynamic.Resource {
  declare readonly made: pulumi.Output<string>;
  constructor(name: string, args: Record<string, unknown>, opts: pulumi.CustomResourceOptions) {
    super(provider, name, { made: undefined, ...args }, opts);
  }
}

class Part extends pulumi.ComponentResource {
  readonly made: pulumi.Output<string>;
  constructor(name: string, args: Record<string, unknown>) {
    super("test:index:Part", name, args);
    const note = new Note(
      `${name}-note`,
      { who: args.who, password: args.password, list: [1, { deep: args.password }] },
      { parent: this },
    );
    const local = new command.local.Command(
      `${name}-local`,
      {
        create: pulumi.interpolate`echo made ${note.made}`,
        delete: "true",
        stdin: password,
        environment: { WHO: who },
      },
      { parent: this, additionalSecretOutputs: ["stdout"], dependsOn: [note], hideDiffs: ["environment.WHO"] },
    );
    new command.local.Command(
      `${name}-triggered`,
      { create: "cat", stdin: local.stdout, triggers: [who] },
      {
        parent: this,
        protect: false,
        transforms: [({ props, opts }) => ({ props: { ...props, environment: { BY: "a transform" } }, opts })],
      },
    );
    this.made = note.made;
    this.registerOutputs({ made: this.made, password: args.password });
  }
}

const part = new Part("part", { who, password });
const connection = config.getSecretObject<command.types.input.remote.ConnectionArgs>("connection");
if (connection !== undefined) {
  const host = pulumi.output(connection).apply((value) => value as NonNullable<typeof value>);
  const first = new command.remote.Command("remote", {
    connection: host,
    create: `echo there ${who}`,
    update: `echo again ${who}`,
    stdin: password,
  });
  new command.remote.CopyToRemote(
    "copy",
    { connection: host, source: new pulumi.asset.StringAsset("a note"), remotePath: config.require("remotePath") },
    { dependsOn: [first] },
  );
}

export const made = part.made;
export const secret = password;
export const nested = { list: [1, { deep: password, none: null }] };
