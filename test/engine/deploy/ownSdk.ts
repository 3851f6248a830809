import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Workspace } from "./workspace.ts";

const MODULES = join(import.meta.dirname, "..", "..", "..", "node_modules");

/** A copy of the SDK, as a path in a project's folder. */
export const SDK = "node_modules/@pulumi/pulumi";

/** A project with an SDK of its own, which may be changed, and with the packages that it needs, to which others may be added. */
export function withOwnSdk(): Workspace {
  const work = new Workspace("spec.ts");
  rmSync(join(work.dir, "node_modules"));
  mkdirSync(join(work.dir, "node_modules", "@pulumi"), { recursive: true });
  for (const name of readdirSync(MODULES)) {
    if (name !== "@pulumi") symlinkSync(join(MODULES, name), join(work.dir, "node_modules", name));
  }
  cpSync(join(MODULES, "@pulumi", "pulumi"), join(work.dir, SDK), {
    recursive: true,
    filter: (path) => !/\.d\.ts$|\.map$/.test(path),
  });
  return work;
}
