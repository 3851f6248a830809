import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Sshd } from "../../test/helpers/sshd.ts";

export const COMMANDS = 12;
export const STACK = "bench";

/** A Pulumi project in a folder of its own, with nothing deployed yet. */
export interface Project {
  dir: string;
  backend: string;
  passphraseFile: string;
  /** The hosts that its program reaches; `port` may be that of a line to it. */
  hosts: (Pick<Sshd, "user" | "hostKey" | "privateKey" | "dir" | "pid"> & { port: number })[];
}

/** `COMMANDS` commands on each host, each waiting for the one before. */
export const chains = (hosts: Project["hosts"]): Project =>
  makeProject(
    `import { readFileSync } from "node:fs";
import { remote } from "@pulumi/command";

const hosts = JSON.parse(readFileSync("hosts.json", "utf8"));
hosts.forEach((connection, host) => {
  let before = [];
  for (let step = 0; step < ${COMMANDS}; step++) {
    const create = \`echo step \${step} of host \${host}\`;
    before = [new remote.Command(\`host\${host}-step\${step}\`, { connection, create }, { dependsOn: before })];
  }
});
`,
    hosts,
  );

/** `count` resources: components of nine local commands each, every command with the output of the one before. */
export const groups = (count: number): Project =>
  makeProject(
    `import { ComponentResource } from "@pulumi/pulumi";
import { local } from "@pulumi/command";

let made = 0;
while (made < ${count}) {
  const parent = new ComponentResource("bench:index:Group", \`group\${made++}\`);
  let before;
  for (let index = 0; index < 9 && made < ${count}; index++, made++) {
    const environment = { BEFORE: before?.stdout ?? "" };
    before = new local.Command(\`command\${made}\`, { create: \`echo \${made}\`, environment }, { parent });
  }
}
`,
    [],
  );

function makeProject(program: string, hosts: Project["hosts"]): Project {
  const dir = mkdtempSync(join(tmpdir(), "atelier-bench-"));
  const backend = join(dir, "state");
  mkdirSync(backend);
  const connections = hosts.map(({ port, user, privateKey, hostKey }) => {
    return { host: "127.0.0.1", port, user, privateKey, hostKey };
  });
  const files: Record<string, string> = {
    "Pulumi.yaml": "name: bench\nmain: index.js\nruntime: { name: nodejs, options: { typescript: false } }\n",
    "package.json": JSON.stringify({ name: "bench", type: "module" }),
    "index.js": program,
    "hosts.json": JSON.stringify(connections),
    passphrase: "bench",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text, { mode: 0o600 });
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  return { dir, backend: `file://${backend}`, passphraseFile: join(dir, "passphrase"), hosts };
}
