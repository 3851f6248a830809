import ssh2 from "ssh2";
import { expect, it } from "vitest";
import { provider } from "../../../stacks/docker/keys.ts";

/** One in 256 that ssh2 makes. */
const malformed = () => {
  for (;;) {
    const made = ssh2.utils.generateKeyPairSync("ed25519");
    if (ssh2.utils.parseKey(made.private) instanceof Error) return made;
  }
};

it("gives up where ssh2 makes nothing else than malformed ones", async () => {
  const { generateKeyPairSync } = ssh2.utils;
  const pair = malformed();
  ssh2.utils.generateKeyPairSync = () => pair;
  try {
    await expect(provider.create({ comment: "of a test" })).rejects.toThrow("ssh2 made 20 malformed key pairs");
  } finally {
    ssh2.utils.generateKeyPairSync = generateKeyPairSync;
  }
});

it("makes no key pair that nobody can read, in 1,500 of which ssh2 alone makes six", async () => {
  for (let made = 0; made < 1500; made++) {
    const { outs } = await provider.create({ comment: "of a test" });
    expect(ssh2.utils.parseKey(outs?.privateKey)).not.toBeInstanceOf(Error);
    expect(Buffer.from(outs?.publicKey.split(" ")[1], "base64")).toHaveLength(51);
  }
});
