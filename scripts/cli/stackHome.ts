import { existsSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "./errors.ts";
import { stackHome } from "./paths.ts";

/** What another stack of that name may still need: a rental on its way, and what of it runs on this machine. */
const lively = ["renting.json", "host", "upstreams", "dify"];

/** @throws UserError where the folder of a new name has something that must not be lost */
export function checkHomeIsFree(name: string): void {
  const found = lively.filter((entry) => existsSync(join(stackHome(name), entry)));
  if (found.length > 0)
    throw new UserError(
      `${stackHome(name)} has something of another stack of that name: ${found.join(", ")}. Take another name, or remove it if that stack is gone.`,
    );
}

/** Gives what lies beside a stack's state (its pinned key, its report, …) the stack's new name. What is there of an earlier stack gives way. */
export function moveHome(from: string, to: string): void {
  const [old, now] = [stackHome(from), stackHome(to)];
  if (!existsSync(old)) return;
  // Settings under the old name, for the official CLI; `env` and `up` write them anew.
  rmSync(join(old, "pulumi"), { recursive: true, force: true });
  // A disk may make no difference of capitals.
  if (!existsSync(now) || statSync(now).ino === statSync(old).ino) {
    renameSync(old, now);
    return;
  }
  for (const entry of readdirSync(old)) {
    rmSync(join(now, entry), { recursive: true, force: true });
    renameSync(join(old, entry), join(now, entry));
  }
  rmdirSync(old);
}
