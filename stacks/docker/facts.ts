import * as pulumi from "@pulumi/pulumi";
import { DynamicResource } from "../dynamic.ts";
import type { EngineLogin } from "./login.ts";
import { look } from "./look.ts";

interface FactsInputs {
  engine: EngineLogin;
  container: string;
  /** Empty: not ours to build. */
  image: string;
}
interface FactsOutputs {
  imageToken: string;
  containerToken: string;
}

const provider: pulumi.dynamic.ResourceProvider = {
  async create(inputs: FactsInputs) {
    // What is not made yet is made now anyway.
    return { id: "docker-facts", outs: { ...inputs, imageToken: "first", containerToken: "first" } };
  },
  async diff(_id, olds: FactsInputs, news: FactsInputs) {
    const seen = await look(news.engine, news.container, news.image);
    for (const why of Object.values(seen)) console.log(`docker-facts: ${why}`);
    const moved =
      olds.container !== news.container || olds.image !== news.image || olds.engine.host !== news.engine.host;
    return { changes: moved || Object.keys(seen).length > 0 };
  },
  async update(_id, olds: FactsInputs & FactsOutputs, news: FactsInputs) {
    const seen = await look(news.engine, news.container, news.image);
    // What has another name now is made by that; only what was left and is gone gets a token.
    const same = olds.engine.host === news.engine.host;
    const lostImage = same && seen.image !== undefined && olds.image === news.image;
    const lostContainer = same && seen.container !== undefined && olds.container === news.container;
    return {
      outs: {
        ...news,
        imageToken: lostImage ? globalThis.crypto.randomUUID() : olds.imageToken,
        containerToken: lostContainer ? globalThis.crypto.randomUUID() : olds.containerToken,
      },
    };
  },
};

/**
 * What the Docker engine has, against what the state believes: neither engine looks there by itself. An image or a container that was
 * removed or stopped by hand gets a new token, and so is made anew by the next `up`.
 */
export class DockerFacts extends DynamicResource {
  declare readonly imageToken: pulumi.Output<string>;
  declare readonly containerToken: pulumi.Output<string>;

  constructor(name: string, args: FactsInputs, opts: pulumi.CustomResourceOptions = {}) {
    const { host, ca, cert, key } = args.engine;
    const engine = { host, ...(ca && { ca, cert: pulumi.secret(cert), key: pulumi.secret(key) }) };
    super(
      { provider, uses: [look] },
      name,
      { ...args, engine, imageToken: undefined, containerToken: undefined },
      opts,
    );
  }
}
