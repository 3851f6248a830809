import { existsSync, readFileSync } from "node:fs";

/** The processes of programs and dynamic resources that a process has started. */
export function programsOf(pid: number): number[] {
  const children = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(children)) return [];
  return readFileSync(children, "utf8")
    .split(" ")
    .filter((text) => text !== "")
    .map(Number)
    .filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("host.mjs"));
}
