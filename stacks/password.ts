import type * as pulumi from "@pulumi/pulumi";
import { DynamicResource } from "./dynamic.ts";

const provider: pulumi.dynamic.ResourceProvider = {
  async create({ length }: { length: number }) {
    // A1111 splits credentials at `:` and `,`; these 64 letters need no escaping anywhere, and a byte maps to them evenly.
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(length));
    const value = Array.from(bytes, (byte) => letters[byte % 64]).join("");
    return { id: "password", outs: { length, value } };
  },
  async diff(_id, olds: { length: number }, news: { length: number }) {
    const other = olds.length !== news.length;
    return { changes: other, replaces: other ? ["length"] : [] };
  },
  // Called when this very text changes: the password must outlive that.
  async update(_id, olds: { length: number; value: string }) {
    return { outs: olds };
  },
};

/** A password made once and kept as a secret in the state: letters, digits, `_` and `-`. */
export class Password extends DynamicResource {
  declare readonly value: pulumi.Output<string>;

  constructor(name: string, args: { length: number }, opts: pulumi.CustomResourceOptions = {}) {
    super({ provider }, name, { ...args, value: undefined }, { ...opts, additionalSecretOutputs: ["value"] });
  }
}
