import ssh2 from "ssh2";

/** An ed25519 key pair by ssh2: one in 256 that it makes is malformed (stacks/docker/keys.ts), and so is made again. */
export function keyPair(): { private: string; public: string } {
  for (;;) {
    const made = ssh2.utils.generateKeyPairSync("ed25519");
    if (!(ssh2.utils.parseKey(made.private) instanceof Error)) return made;
  }
}
