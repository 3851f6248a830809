import { SIGNATURE_KEY, SIGNATURES, setKey } from "./signatures.ts";
import { Archive, Asset } from "./values.ts";

type Json = Record<string, unknown>;

/** An asset or archive as Pulumi writes it, on the wire and in the checkpoint alike: `{sig, hash, text|path|uri|assets}`. */
export function encodeAsset(value: Asset | Archive): Json {
  const form: Json = { [SIGNATURE_KEY]: value instanceof Asset ? SIGNATURES.asset : SIGNATURES.archive };
  if (value.hash !== "") form.hash = value.hash;
  if (value instanceof Archive && "assets" in value.source) {
    const assets: Json = {};
    for (const [name, member] of Object.entries(value.source.assets))
      setKey<unknown>(assets, name, encodeAsset(member));
    form.assets = assets;
  } else if (!("text" in value.source) || value.source.text !== "") {
    Object.assign(form, value.source);
  }
  return form;
}

/** @throws when it has the signature of an asset but not its shape */
export function decodeAsset(form: Json): Asset {
  const hash = text(form, "hash", "asset") ?? "";
  const path = text(form, "path", "asset");
  if (path) return new Asset({ path }, hash);
  const uri = text(form, "uri", "asset");
  if (uri) return new Asset({ uri }, hash);
  return new Asset({ text: text(form, "text", "asset") ?? "" }, hash);
}

/** @throws when it has the signature of an archive but not its shape */
export function decodeArchive(form: Json): Archive {
  const hash = text(form, "hash", "archive") ?? "";
  const path = text(form, "path", "archive");
  if (path) return new Archive({ path }, hash);
  const uri = text(form, "uri", "archive");
  if (uri) return new Archive({ uri }, hash);
  const assets: Record<string, Asset | Archive> = {};
  for (const [name, member] of Object.entries((form.assets ?? {}) as Json)) {
    const signature = typeof member === "object" && member !== null ? (member as Json)[SIGNATURE_KEY] : undefined;
    if (signature === SIGNATURES.asset) setKey<Asset | Archive>(assets, name, decodeAsset(member as Json));
    else if (signature === SIGNATURES.archive) setKey<Asset | Archive>(assets, name, decodeArchive(member as Json));
    else throw new Error(`The archive member "${name}" is neither an asset nor an archive. Make it one of the two.`);
  }
  return new Archive({ assets }, hash);
}

function text(form: Json, key: string, kind: string): string | undefined {
  const value = form[key];
  if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
  throw new Error(`The ${key} of an ${kind} is ${typeof value}, not text.`);
}
