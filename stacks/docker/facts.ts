import * as pulumi from "@pulumi/pulumi";
import { DynamicResource } from "../dynamic.ts";
import type { EngineLogin } from "./login.ts";
import { look, type Seen } from "./look.ts";

interface FactsInputs {
  engine: EngineLogin;
  container: string;
  /** Empty: not ours to build. */
  image: string;
  /** Empty: the settings name it, and so it may be anybody's. */
  volume: string;
  fingerprint: string;
  stack: string;
}
interface FactsOutputs {
  imageToken: string;
  containerToken: string;
}

/** @throws Error where something of the stack's names is somebody else's */
async function lookAt({ engine, ...looks }: FactsInputs): Promise<Seen> {
  const { foreign, ...seen } = await look(engine, looks);
  if (foreign) throw new Error(foreign);
  return seen;
}

const provider: pulumi.dynamic.ResourceProvider = {
  async create(inputs: FactsInputs) {
    // What is not made yet is made now anyway; what is there and not ours stops it.
    await lookAt(inputs);
    return { id: "docker-facts", outs: { ...inputs, imageToken: "first", containerToken: "first" } };
  },
  async diff(_id, olds: FactsInputs, news: FactsInputs) {
    // What is known only once something else is made stands as this word in both engines; this very text is among the inputs.
    const unknown = ["04da6b54", "80e4", "46f7", "96ec", "b56ff0331ba9"].join("-");
    if (news.fingerprint === unknown) return { changes: true };
    const seen = await lookAt(news);
    for (const why of Object.values(seen)) console.log(`docker-facts: ${why}`);
    const moved =
      olds.container !== news.container ||
      olds.image !== news.image ||
      olds.volume !== news.volume ||
      olds.fingerprint !== news.fingerprint ||
      olds.engine.host !== news.engine.host;
    return { changes: moved || Object.keys(seen).length > 0 };
  },
  async update(_id, olds: FactsInputs & FactsOutputs, news: FactsInputs) {
    const seen = await lookAt(news);
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

  constructor(
    name: string,
    args: Omit<FactsInputs, "fingerprint" | "stack"> & { fingerprint: pulumi.Output<string> },
    opts: pulumi.CustomResourceOptions = {},
  ) {
    const { host, ca, cert, key } = args.engine;
    const engine = { host, ...(ca && { ca, cert: pulumi.secret(cert), key: pulumi.secret(key) }) };
    super(
      { provider, uses: [look, lookAt] },
      name,
      { ...args, engine, stack: pulumi.getStack(), imageToken: undefined, containerToken: undefined },
      opts,
    );
  }
}
