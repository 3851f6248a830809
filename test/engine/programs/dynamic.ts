// Dynamic resources that keep what they make as files in the folder `dir` of the settings.
import * as pulumi from "@pulumi/pulumi";

interface Inputs {
  dir: string;
  file: string;
  text: string;
  password: string;
  sick?: boolean;
}

const provider: pulumi.dynamic.ResourceProvider<Inputs, Inputs> = {
  async check(_olds, news) {
    return news.text === "refused" ? { failures: [{ property: "text", reason: "is refused" }] } : { inputs: news };
  },
  async diff(_id, olds, news) {
    return {
      changes: olds.text !== news.text || olds.file !== news.file || olds.password !== news.password,
      replaces: olds.file !== news.file ? ["file"] : [],
    };
  },
  async create(inputs) {
    const { writeFileSync } = await import("node:fs");
    const { join } = await import("node:path");
    writeFileSync(join(inputs.dir, inputs.file), inputs.text);
    if (inputs.sick)
      throw Object.assign(new Error("it is sick"), { id: inputs.file, properties: inputs, reasons: ["no pulse"] });
    return { id: inputs.file, outs: inputs };
  },
  async update(_id, _olds, news) {
    const { writeFileSync } = await import("node:fs");
    const { join } = await import("node:path");
    if (news.text === "fails") throw new Error(`cannot write with ${news.password}`);
    writeFileSync(join(news.dir, news.file), news.text);
    return { outs: news };
  },
  async delete(_id, props) {
    const { rmSync } = await import("node:fs");
    const { join } = await import("node:path");
    rmSync(join(props.dir, props.file));
  },
  async read(id, props) {
    const { existsSync, readFileSync } = await import("node:fs");
    const { join } = await import("node:path");
    const file = join(props?.dir ?? "", id ?? "");
    return existsSync(file) ? { id, props: { ...(props as Inputs), text: readFileSync(file, "utf8") } } : {};
  },
};

class File extends pulumi.dynamic.Resource {
  declare readonly text: pulumi.Output<string>;
  constructor(name: string, args: { [Key in keyof Inputs]: pulumi.Input<Inputs[Key]> }) {
    super(provider, name, args);
  }
}

const config = new pulumi.Config();
const file = new File("file", {
  dir: config.require("dir"),
  file: config.get("file") ?? "one",
  text: config.get("text") ?? "hello",
  password: config.requireSecret("password"),
  ...(config.getBoolean("sick") ? { sick: true } : {}),
});
export const text = file.text;
