import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readIfThere, writeWhole } from "../files.ts";
import { stackHome } from "../paths.ts";
import type { Stack } from "../stack.ts";
import { manifestOf } from "./folder.ts";
import type { Manifest } from "./manifest.ts";

const fileOf = (stack: string) => join(stackHome(stack), "bundle.folder");

/** Notes which bundle was pushed for a stack, where it holds a part for Dify: that part stays on this machine. */
export function rememberBundle(
  stack: string,
  folder: string,
  { images, plugins }: Pick<Manifest, "images" | "plugins">,
): void {
  if (images.length + plugins.length > 0) writeWhole(fileOf(stack), `${folder}\n`);
  else rmSync(fileOf(stack), { force: true });
}

/** The bundle that was pushed last, as long as it is there. */
export function pushedBundle(stack: string): string | undefined {
  const folder = readIfThere(fileOf(stack))?.trim();
  return folder && existsSync(manifestOf(folder)) ? folder : undefined;
}

/** Puts it at hand (`ATELIER_BUNDLE`) where the stack may fetch nothing from outside, by its settings or for this command. */
export function usePushed({ name, settings }: Pick<Stack, "name" | "settings">): void {
  const profile = process.env.ATELIER_UPSTREAMS ?? settings.upstreams.profile;
  const pushed = profile === "offline" ? pushedBundle(name) : undefined;
  if (pushed) process.env.ATELIER_BUNDLE ??= pushed;
}
