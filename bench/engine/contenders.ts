import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Work } from "../lib/measure.ts";
import { ansible } from "./ansible.ts";
import { COMMANDS, type Project, STACK } from "./project.ts";

/** One way to get the commands run. */
export interface Contender {
  name: string;
  /** Done once for a project, not measured. */
  prepare(project: Project): void;
  /** `up`, the first time and again. */
  up(project: Project): Work[];
  /** False: it has no state, and nothing to leave out the second time. */
  hasState: boolean;
}

export const embedded: Contender = {
  name: "embedded",
  prepare: () => {},
  up: (project) => [
    {
      program: process.execPath,
      args: [
        fileURLToPath(new URL("./embedded.mjs", import.meta.url)),
        project.dir,
        STACK,
        project.backend,
        project.passphraseFile,
      ],
      cwd: project.dir,
      env: process.env,
    },
  ],
  hasState: true,
};

const official: Contender = {
  name: "official",
  prepare: (project) => {
    execFileSync("pulumi", ["stack", "init", STACK, "--non-interactive"], {
      cwd: project.dir,
      env: officialEnv(project),
      stdio: ["ignore", "ignore", "pipe"],
    });
  },
  up: (project) => [
    {
      program: "pulumi",
      args: ["up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK],
      cwd: project.dir,
      env: officialEnv(project),
    },
  ],
  hasState: true,
};

function officialEnv(project: Project): NodeJS.ProcessEnv {
  const home = join(project.dir, "home");
  mkdirSync(home, { recursive: true });
  // The cache of compiled code is this project's own doing; the CLI by itself knows none.
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  return {
    ...env,
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: project.backend,
    PULUMI_CONFIG_PASSPHRASE_FILE: project.passphraseFile,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}

/** A login for each command: on each host one after the other, the hosts side by side. */
const plain: Contender = {
  name: "ssh",
  prepare: () => {},
  up: (project) =>
    project.hosts.map((host, index) => {
      const options = `-p ${host.port} -i ${host.dir}/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -F none`;
      const loop = `step=0; while [ $step -lt ${COMMANDS} ]; do ssh ${options} ${host.user}@127.0.0.1 "echo step $step of host ${index}" || exit 1; step=$((step + 1)); done`;
      return { program: "/bin/sh", args: ["-c", loop], cwd: project.dir, env: process.env };
    }),
  hasState: false,
};

/** Those that can run here, and why the others can't. */
export function contenders(): { able: Contender[]; missing: string[] } {
  const missing: string[] = [];
  const onPath = (name: string, why: string) => {
    const there = (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
    if (!there) missing.push(why);
    return there;
  };
  const able = [embedded];
  if (onPath("pulumi", "official: no `pulumi` on PATH")) able.push(official);
  if (onPath("ssh", "ssh, ansible: no `ssh` on PATH (package openssh-client)")) {
    able.push(plain);
    const automation = ansible();
    if ("missing" in automation) missing.push(automation.missing);
    else able.push(automation);
  }
  return { able, missing };
}

/** @throws when it is not among them */
export function contenderOf(able: Contender[], name: string): Contender {
  const found = able.find((contender) => contender.name === name);
  if (!found) throw new Error(`${name} does not take part`);
  return found;
}
