import { readFileSync } from "node:fs";
import { type DecodedCheckpoint, decodeCheckpoint } from "../../../engine/src/checkpoint.ts";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";

/** Where the states lie that the official CLI wrote. */
export const GOLDEN = new URL("../../golden/pulumi/", import.meta.url);

export const GOLDEN_PASSPHRASE = "correct-horse";

export const GOLDEN_STATES = [
  "01-up",
  "02-replaced",
  "03-refreshed-container-gone",
  "04-mended",
  "05-killed-while-creating",
  "06-failed",
  "07-destroyed",
];

let opened: Promise<PassphraseSecrets> | undefined;

/** All golden states share a salt: the second of key derivation is spent once. */
export function goldenSecrets({ salt }: { salt: string }): Promise<PassphraseSecrets> {
  opened ??= PassphraseSecrets.open(GOLDEN_PASSPHRASE, salt);
  return opened;
}

export function goldenText(name: string): string {
  return readFileSync(new URL(name, GOLDEN), "utf8");
}

export function decodeGolden(name: string): Promise<DecodedCheckpoint> {
  return decodeCheckpoint(goldenText(`${name}.json`), goldenSecrets);
}
