// A program whose every input is a secret, and whose every part says its secrets wherever it can. It takes the texts of `marks`
// in two halves, so that the settings do not hold what is searched for.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config("marked");
const halves = config.requireObject<Record<string, [string, string]>>("halves");
/** A secret of the program: nobody but the engine that it is registered with can know it. */
const mark = (name: string): pulumi.Output<string> => pulumi.secret((halves[name] ?? ["", ""]).join(""));
const turn = config.require("turn");
const mode = config.require("mode");

const provider: pulumi.dynamic.ResourceProvider = {
  async check(_olds, news) {
    return { inputs: news };
  },
  async diff(_id, olds, news) {
    return { changes: olds.turn !== news.turn };
  },
  async create(inputs) {
    console.log(`dynamic create with ${inputs.password}`);
    if (inputs.mode === "fail") {
      process.getBuiltinModule("node:fs").writeFileSync(inputs.begun, "");
      const reasons = [`not well with ${inputs.password}`];
      throw Object.assign(new Error(`made, but ${inputs.password}`), { id: "half-made", properties: inputs, reasons });
    }
    return { id: "made", outs: { ...inputs, address: `http://user:${inputs.password}@host/` } };
  },
  async update(_id, _olds, news) {
    console.error(`dynamic update with ${news.password}`);
    return { outs: { ...news, address: `http://user:${news.password}@host/` } };
  },
  async read(id, props) {
    console.log(`dynamic read of ${props?.password}`);
    return { id, props };
  },
  async delete(_id, props) {
    console.error(`dynamic delete with ${props.password}`);
  },
};
class Thing extends pulumi.dynamic.Resource {
  declare readonly address: pulumi.Output<string>;
  constructor(name: string, args: pulumi.Inputs, opts: pulumi.CustomResourceOptions) {
    super(provider, name, { address: undefined, ...args }, opts);
  }
}

class Part extends pulumi.ComponentResource {
  readonly said: pulumi.Output<string>;
  readonly thing: Thing;
  constructor() {
    super("test:index:Part", "part", {
      password: mark("component-input"),
      settings: config.requireSecretObject("object"),
    });
    const local = new command.local.Command(
      "local",
      {
        // Long enough to be seen in the process list.
        create: pulumi.interpolate`cat; sleep 0.3; echo "$GIVEN"; echo ${mark("local-create")}; echo ${mark("local-create")} >&2; : ${turn}`,
        delete: pulumi.interpolate`echo ${mark("local-delete")}; cat >&2`,
        stdin: pulumi.interpolate`first line\n${mark("local-stdin")} "quoted" \\ <&>\nlast line\n`,
        environment: { GIVEN: mark("local-environment") },
        triggers: [mark("local-trigger")],
      },
      { parent: this },
    );
    const connection = config.getSecretObject<command.types.input.remote.ConnectionArgs>("connection");
    if (connection !== undefined) {
      const host = connection.apply((value) => value as NonNullable<typeof value>);
      new command.remote.Command(
        "remote",
        {
          connection: host,
          create: pulumi.interpolate`cat; cat /dev/null; echo ${mark("remote-create")} >&2; echo $GIVEN; : ${turn}`,
          delete: pulumi.interpolate`echo ${mark("remote-delete")}; cat`,
          stdin: mark("remote-stdin"),
          environment: { GIVEN: mark("remote-environment") },
        },
        { parent: this },
      );
      new command.remote.CopyToRemote(
        "copy",
        {
          connection: host,
          source: mark("copy-text").apply((text) => new pulumi.asset.StringAsset(`${text} ${turn}`)),
          remotePath: config.require("remotePath"),
        },
        { parent: this },
      );
    }
    this.thing = new Thing(
      "thing",
      { password: mark("dynamic"), list: [{ deep: mark("dynamic-deep") }], turn },
      { parent: this },
    );
    this.said = pulumi.all([local.stdout, this.thing.address]).apply((texts) => texts.join("\n"));
    this.registerOutputs({ said: this.said, password: mark("component-output") });
  }
}

const part = new Part();
const known = new command.local.Command(
  "known",
  { create: "cat >/dev/null", stdin: mark("program") },
  { parent: part },
);
// What a program prints of a secret before it has given it to the engine, the engine can't know.
pulumi.all([mark("program"), known.id]).apply(([text]) => {
  console.log(`the program prints ${text}`);
  console.error(`the program complains of ${text}`);
  void pulumi.log.info(`the program logs ${text}`, part);
  void pulumi.log.debug(`the program debugs ${text}`);
});
config.requireSecret("config").apply((text) => console.log(`a setting is ${text}`));

if (mode === "fail") {
  const begun = config.require("begun");
  // Once the other has begun, too: after a failure nothing else begins.
  const wait = `for i in $(seq 600); do [ ! -e '${begun}' ] || break; sleep 0.1; done`;
  new command.local.Command("failing", {
    create: pulumi.interpolate`${wait}; cat >&2; echo ${mark("failing-create")}; exit 3`,
    stdin: mark("failing-stdin"),
  });
  new Thing("half-made", { password: mark("failing-dynamic"), mode, turn, begun }, { dependsOn: [known] });
}
if (mode === "slow") {
  const stdin = mark("slow-stdin");
  // After the dynamic resource: its process is there when this one has begun.
  const create = pulumi.interpolate`cat >&2; touch '${config.require("begun")}'; sleep 600; : ${mark("slow-create")}`;
  new command.local.Command("slow", { create, stdin }, { dependsOn: [part.thing] });
}

export const password = mark("stack-output");
export const said = part.said;
export const object = { deep: [mark("stack-output-deep")] };
