import ssh2 from "ssh2";
import { expect, it } from "vitest";
import { provider } from "../../../stacks/docker/keys.ts";

it("makes no key pair that nobody can read, in 1,500 of which ssh2 alone makes six", async () => {
  for (let made = 0; made < 1500; made++) {
    const { outs } = await provider.create({ comment: "of a test" });
    expect(ssh2.utils.parseKey(outs?.privateKey)).not.toBeInstanceOf(Error);
    expect(Buffer.from(outs?.publicKey.split(" ")[1], "base64")).toHaveLength(51);
  }
});
