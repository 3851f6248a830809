import { writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pythonTools } from "../lib/python.ts";
import type { Contender } from "./contenders.ts";
import { COMMANDS } from "./project.ts";

/** ansible-core of the day, the same commands as shell tasks, set up to be fast: pipelining, 16 hosts at once, no gathering of facts. */
export function ansible(): Contender | { missing: string } {
  let bin: string;
  try {
    bin = pythonTools("ansible", ["ansible-core"]);
  } catch (error) {
    return { missing: `ansible: it can't be installed (${(error as Error).message.trim().split("\n").at(-1)})` };
  }
  return {
    name: "ansible",
    hasState: false,
    prepare(project) {
      const lines = project.hosts.map(
        ({ port, user, dir }, index) =>
          `host${index} ansible_host=127.0.0.1 ansible_port=${port} ansible_user=${user} ansible_ssh_private_key_file=${dir}/client ansible_python_interpreter=/usr/bin/python3 number=${index}`,
      );
      writeFileSync(join(project.dir, "inventory"), `${lines.join("\n")}\n`);
      const tasks = Array.from(
        { length: COMMANDS },
        (_, step) => `    - shell: echo step ${step} of host {{ number }}\n`,
      );
      writeFileSync(
        join(project.dir, "playbook.yml"),
        `- hosts: all\n  gather_facts: false\n  tasks:\n${tasks.join("")}`,
      );
    },
    up: (project) => [
      {
        program: join(bin, "ansible-playbook"),
        args: ["-i", "inventory", "-f", "16", "playbook.yml"],
        cwd: project.dir,
        env: {
          ...process.env,
          PATH: `${bin}${delimiter}${process.env.PATH}`,
          ANSIBLE_PIPELINING: "True",
          ANSIBLE_HOST_KEY_CHECKING: "False",
          ANSIBLE_HOME: join(project.dir, "ansible"),
        },
      },
    ],
  };
}
