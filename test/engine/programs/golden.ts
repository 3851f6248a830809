// The program that made the golden states, its Docker resources said without Docker's own SDK: their provider is the test's.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const connection = config.requireObject<command.types.input.remote.ConnectionArgs>("connection");

class Docker extends pulumi.CustomResource {
  declare readonly name: pulumi.Output<string>;
  constructor(type: string, name: string, args: pulumi.Inputs) {
    super(type, name, { name: undefined, ...args }, { version: "5.2.0" });
  }
}

class Part extends pulumi.ComponentResource {
  readonly out: pulumi.Output<string>;
  constructor(name: string, args: { who: string; secret: pulumi.Input<string>; protect: boolean }) {
    super("golden:index:Part", name, args);
    const local = new command.local.Command(
      `${name}-local`,
      { create: "echo local $WHO", delete: "echo gone", environment: { WHO: args.who }, triggers: [args.who] },
      { parent: this, protect: args.protect },
    );
    const remote = new command.remote.Command(
      `${name}-remote`,
      {
        connection,
        create: pulumi.interpolate`echo remote after ${local.stdout}`,
        update: "echo updated",
        stdin: args.secret,
      },
      { parent: this, dependsOn: [local], additionalSecretOutputs: ["stdout"], customTimeouts: { create: "2m" } },
    );
    const copy = new command.remote.CopyToRemote(
      `${name}-copy`,
      { connection, source: new pulumi.asset.FileAsset("note.txt"), remotePath: "/tmp/golden-note.txt", triggers: [1] },
      { parent: this },
    );
    new command.remote.CopyToRemote(
      `${name}-copydir`,
      { connection, source: new pulumi.asset.FileArchive("./dir"), remotePath: "/tmp/golden-dir" },
      { parent: this, dependsOn: [copy] },
    );
    this.out = remote.stdout;
    this.registerOutputs({ out: this.out });
  }
}

const part = new Part("p", { who: config.get("who") ?? "ann", secret: config.requireSecret("pw"), protect: false });
const network = new Docker("docker:index/network:Network", "net", { labels: [{ label: "atelier", value: "golden" }] });
const volume = new Docker("docker:index/volume:Volume", "vol", {});
const web = new Docker("docker:index/container:Container", "web", {
  image: "local/box:1",
  volumes: [{ volumeName: volume.name, containerPath: "/data" }],
  networksAdvanced: [{ name: network.name, aliases: ["web"] }],
});
export const out = part.out;
export const webName = web.name;
export const pw = config.getSecret("pw");
export const nested = { a: [1, { b: null, c: true }], u: network.id };
