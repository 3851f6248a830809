// What the commands of both engines are tried on: its settings say which of several programs it is.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const variant = config.get("variant") ?? "first";
const word = config.get("word") ?? "one";

class Part extends pulumi.ComponentResource {
  constructor(name: string, word: string, opts: pulumi.ComponentResourceOptions = {}) {
    super("test:index:Part", name, { word }, opts);
    new command.local.Command(`${name}-in`, { create: "cat", stdin: word }, { parent: this });
    this.registerOutputs({});
  }
}

const say = (name: string, opts: pulumi.CustomResourceOptions = {}, stdin: pulumi.Input<string> = word) =>
  new command.local.Command(name, { create: "cat", update: "cat", stdin }, opts);

function first(): Record<string, unknown> {
  const a = say("a");
  const b = say("b", { protect: true }, pulumi.interpolate`${word} after ${a.stdout}`);
  say("c", { dependsOn: [b], retainOnDelete: true, ignoreChanges: ["environment"] });
  say("d", { deletedWith: a, customTimeouts: { create: "90s", delete: "1h" }, replaceOnChanges: ["stdin"] });
  new Part("part", word);
  return { a: a.stdout, hidden: pulumi.secret(word) };
}

/** The same resources under other names, parents and types. */
function renamed(): Record<string, unknown> {
  const a = say("a2", { aliases: [{ name: "a" }] });
  const b = say("b", { protect: true }, pulumi.interpolate`${word} after ${a.stdout}`);
  const parent = new Part("house", word, { aliases: [{ name: "part" }] });
  say("c", {
    parent,
    dependsOn: [b],
    retainOnDelete: true,
    ignoreChanges: ["environment"],
    aliases: [{ parent: pulumi.rootStackResource }],
  });
  say("d2", {
    deletedWith: a,
    customTimeouts: { create: "90s", delete: "1h" },
    replaceOnChanges: ["stdin"],
    aliases: [`urn:pulumi:${pulumi.getStack()}::${pulumi.getProject()}::command:local:Command::d`],
  });
  return { a: a.stdout, hidden: pulumi.secret(word) };
}

function settings(): Record<string, unknown> {
  const all = ["text", "whole", "truth", "list", "object", "hidden", "partly"];
  const stash = new pulumi.Stash("stash", { input: config.get("text") ?? "" });
  return {
    ...Object.fromEntries(all.map((key) => [key, config.get(key)])),
    whole: config.getNumber("whole"),
    object: config.getObject("object"),
    hidden: config.getSecret("hidden"),
    partly: config.getSecretObject("partly"),
    other: new pulumi.Config("other").get("key"),
    stashed: stash.output,
  };
}

function reference(): Record<string, unknown> {
  const other = new pulumi.StackReference("organization/first/dev");
  const named = new pulumi.StackReference("named", { name: "organization/first/dev" });
  return { a: other.getOutput("a"), hidden: named.requireOutput("hidden"), none: other.getOutput("none") };
}

export default async () => ({ first, renamed, settings, reference })[variant as "first"]();
