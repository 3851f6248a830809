import type * as pulumi from "@pulumi/pulumi";
import { DynamicResource } from "../dynamic.ts";

export const provider: pulumi.dynamic.ResourceProvider = {
  async create({ comment }: { comment: string }) {
    const { utils } = (await import("ssh2")).default;
    // ssh2 (1.17.0) drops a public key's leading zero byte: one pair in 256 is malformed, for OpenSSH too.
    const tries = 20;
    let made = utils.generateKeyPairSync("ed25519", { comment });
    for (let tried = 1; utils.parseKey(made.private) instanceof Error; tried++) {
      if (tried === tries)
        throw new Error(
          `ssh2 made ${tries} malformed key pairs one after another: its npm package, or this Node (${process.version}), is broken. Install the packages anew (npm ci), or take another Node.`,
        );
      made = utils.generateKeyPairSync("ed25519", { comment });
    }
    const [type, key] = made.public.split(" ");
    return { id: "ssh-key", outs: { comment, privateKey: made.private, publicKey: `${type} ${key}` } };
  },
  async diff() {
    return { changes: false };
  },
  // Called when this very text changes: the keys must outlive that, or nobody gets in any more.
  async update(_id, olds: object) {
    return { outs: olds };
  },
};

/** An ed25519 key pair as OpenSSH writes it, made once; the private half is a secret of the state. */
export class SshKey extends DynamicResource {
  declare readonly privateKey: pulumi.Output<string>;
  /** `ssh-ed25519 AAAA…` */
  declare readonly publicKey: pulumi.Output<string>;

  constructor(name: string, comment: string, opts: pulumi.CustomResourceOptions = {}) {
    super(
      { provider },
      name,
      { comment, privateKey: undefined, publicKey: undefined },
      { ...opts, additionalSecretOutputs: ["privateKey"] },
    );
  }
}
