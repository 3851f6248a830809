import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { type Clone, nowhere } from "../../cli/clone.ts";
import type { Sshd } from "../../helpers/sshd.ts";

const names = [
  "passphrase",
  "config",
  "config-object",
  "connection-password",
  "program",
  "component-input",
  "component-output",
  "stack-output",
  "stack-output-deep",
  "local-create",
  "local-delete",
  "local-stdin",
  "local-environment",
  "local-trigger",
  "remote-create",
  "remote-delete",
  "remote-stdin",
  "remote-environment",
  "copy-text",
  "dynamic",
  "dynamic-deep",
  "failing-create",
  "failing-stdin",
  "failing-dynamic",
  "slow-create",
  "slow-stdin",
] as const;
type Name = (typeof names)[number];

/** Texts that are nowhere by chance, and look as tokens and generated passwords do. */
export function makeMarks(): Record<Name, string> {
  const mark = () =>
    [...randomBytes(12)].map((byte) => `${"abcdefghijklmnopqrstuvwxyz"[byte % 26]}${byte % 10}`).join("");
  return Object.fromEntries(names.map((name) => [name, mark()])) as Record<Name, string>;
}

/** The stack `marked` of a clone: the program, its settings with every secret encrypted, and the passphrase. */
export class Marked {
  readonly marks: Record<string, string>;
  readonly #clone: Clone;
  readonly #secure: Promise<(text: string) => { secure: string }>;
  #salt = "";
  readonly #server: Sshd | undefined;

  constructor(clone: Clone, server: Sshd | undefined) {
    const marks = makeMarks();
    this.#clone = clone;
    this.#server = server;
    this.marks = { ...marks };
    // A line in the middle of the key: nothing else has it.
    if (server !== undefined) this.marks["private-key"] = server.privateKey.split("\n")[2] ?? "";
    mkdirSync(clone.home, { recursive: true });
    writeFileSync(join(clone.home, "passphrase"), marks.passphrase, { mode: 0o600 });
    clone.program(readFileSync(join(import.meta.dirname, "program.ts"), "utf8"));
    this.#secure = PassphraseSecrets.create(marks.passphrase).then((secrets) => {
      this.#salt = secrets.salt;
      return (text) => ({ secure: secrets.encryptConfig(text) });
    });
  }

  /** Writes the stack's settings for one turn of the program. */
  async settings(mode: "fine" | "fail" | "slow", turn: number, begun = ""): Promise<void> {
    const secure = await this.#secure;
    const { marks } = this;
    const halves = Object.fromEntries(
      Object.entries(marks)
        .filter(([name]) => name !== "passphrase" && name !== "private-key")
        .map(([name, text]) => [name, [text.slice(0, 8), text.slice(8)]]),
    );
    const server = this.#server;
    const connection = server && {
      host: "127.0.0.1",
      port: server.port,
      user: server.user,
      privateKey: server.privateKey,
      password: marks["connection-password"],
      hostKey: server.hostKey,
    };
    const config = {
      "atelier:host": nowhere,
      "marked:halves": JSON.stringify(halves),
      "marked:mode": mode,
      "marked:turn": String(turn),
      "marked:begun": begun,
      "marked:config": secure(marks.config ?? ""),
      "marked:object": secure(
        JSON.stringify({ password: marks["config-object"], list: [`"${marks["config-object"]}\\`] }),
      ),
      ...(server && connection
        ? { "marked:connection": secure(JSON.stringify(connection)), "marked:remotePath": join(server.dir, "copied") }
        : {}),
    };
    const file = join(this.#clone.dir, "stacks", "Pulumi.marked.yaml");
    writeFileSync(file, JSON.stringify({ encryptionsalt: this.#salt, config }));
  }
}
