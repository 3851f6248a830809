import { readFileSync } from "node:fs";
import { join } from "node:path";
import { version as pulumi } from "@pulumi/pulumi/version.js";
import { root } from "./paths.ts";

/** What a report of a fault has to name: Atelier, its engine, Pulumi's SDK, Node and the machine. */
export function versions() {
  const versionIn = (folder: string) =>
    (JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as { version: string }).version;
  return {
    version: versionIn("."),
    engine: versionIn("engine"),
    pulumi,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** The same for people. */
export function versionText(): string {
  const { version, engine, pulumi, node, platform } = versions();
  return `Atelier ${version}\nembedded engine ${engine}, Pulumi's SDK ${pulumi}, Node ${node} on ${platform}\n`;
}
