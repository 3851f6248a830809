// A component of local commands, one of which is `slow`, which tells when it has begun and waits as long as it is told.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const log = config.require("log");

class Part extends pulumi.ComponentResource {
  readonly out: pulumi.Output<string>;
  constructor(name: string) {
    super("test:index:Part", name);
    const first = new command.local.Command(
      `${name}-first`,
      { create: `echo first >> '${log}'; echo one`, delete: `echo gone-first >> '${log}'` },
      { parent: this },
    );
    const slow = new command.local.Command(
      `${name}-slow`,
      {
        create: pulumi.interpolate`echo begin >> '${log}'; sleep ${config.get("sleep") ?? "0"}; echo slow >> '${log}'; echo after ${first.stdout}`,
        delete: `echo gone-slow >> '${log}'`,
        stdin: config.getSecret("secret") ?? pulumi.secret("nothing"),
      },
      { parent: this, ignoreChanges: ["create"] },
    );
    const last = new command.local.Command(
      `${name}-last`,
      { create: pulumi.interpolate`echo last of ${slow.stdout}`, triggers: [slow.stdout] },
      { parent: this },
    );
    this.out = last.stdout;
    this.registerOutputs({ out: this.out });
  }
}

export const out = new Part("p").out;
