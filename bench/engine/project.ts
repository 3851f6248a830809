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
}

/** `COMMANDS` commands on each host, each waiting for the one before. */
const program = `import { readFileSync } from "node:fs";
import { remote } from "@pulumi/command";

const hosts = JSON.parse(readFileSync("hosts.json", "utf8"));
hosts.forEach((connection, host) => {
  let before = [];
  for (let step = 0; step < ${COMMANDS}; step++) {
    const create = \`echo step \${step} of host \${host}\`;
    before = [new remote.Command(\`host\${host}-step\${step}\`, { connection, create }, { dependsOn: before })];
  }
});
`;

export function makeProject(hosts: Sshd[]): Project {
  const dir = mkdtempSync(join(tmpdir(), "atelier-bench-"));
  const backend = join(dir, "state");
  mkdirSync(backend);
  const connections = hosts.map((host) => ({
    host: "127.0.0.1",
    port: host.port,
    user: host.user,
    privateKey: host.privateKey,
    hostKey: host.hostKey,
  }));
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
  return { dir, backend: `file://${backend}`, passphraseFile: join(dir, "passphrase") };
}
