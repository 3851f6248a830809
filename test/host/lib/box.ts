import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Sshd, startSshd } from "../../helpers/sshd.ts";

/** The shape of a rented box, as its platform makes it. */
export interface Shape {
  /** Variables of the container: process 1 has them, an SSH session has not. */
  variables?: Record<string, string>;
  /** Files and their text. */
  files?: Record<string, string>;
  /** Folders and their disk: where it is mounted, its size and free space in MB. */
  disks?: Record<string, { mount: string; sizeMb: number; freeMb?: number }>;
  /** Compute capabilities, as nvidia-smi tells them; without it the box has none. */
  gpus?: string[];
  user?: string;
  /** The login shell of the account; sessions run in it where `runs` names one of this machine. */
  shell?: string;
  runs?: string;
}

/** A box that looks like another: a real OpenSSH server whose sessions see other folders, disks and names. */
export class Box {
  readonly #dir = mkdtempSync(join(tmpdir(), "atelier-shape-"));
  #server: Sshd | undefined;

  get server(): Sshd {
    if (!this.#server) throw new Error("the box was not started");
    return this.#server;
  }

  async start(): Promise<void> {
    const session = join(this.#dir, "session");
    writeFileSync(session, `#!/bin/sh\n. '${this.#dir}/shape.sh'\nexec "$BOX_SHELL" -c "$SSH_ORIGINAL_COMMAND"\n`, {
      mode: 0o755,
    });
    this.become({});
    this.#server = await startSshd({ config: [`ForceCommand ${session}`] });
  }

  /** Another box behind the same address: with another host key, and another login. */
  async replace(): Promise<void> {
    const { port } = this.server;
    await this.server.stop();
    this.#server = await startSshd({ port, config: [`ForceCommand ${join(this.#dir, "session")}`] });
  }

  /** Takes another shape; the next session sees it. */
  become({
    variables = {},
    files = {},
    disks = {},
    gpus,
    user = "root",
    shell = "/bin/bash",
    runs = "/bin/sh",
  }: Shape): void {
    const root = join(this.#dir, "root");
    const bin = join(this.#dir, "bin");
    for (const folder of [root, bin]) rmSync(folder, { recursive: true, force: true });
    const home = user === "root" ? "/root" : `/home/${user}`;
    const write = (path: string, text: string, mode = 0o644) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { mode });
    };
    const environ = Object.entries({ PATH: "/usr/bin", ...variables }).map(([name, value]) => `${name}=${value}\0`);
    write(join(root, "proc/1/environ"), environ.join(""));
    write(join(root, "etc/passwd"), `${user}:x:0:0::${home}:${shell}\n`);
    for (const [path, text] of Object.entries(files)) write(join(root, path), text);
    for (const folder of [home, ...Object.keys(disks)]) mkdirSync(join(root, folder), { recursive: true });
    if (gpus)
      write(join(bin, "nvidia-smi"), `#!/bin/sh\nprintf '%s\\n' ${gpus.map((cap) => `'${cap}'`).join(" ")}\n`, 0o755);
    write(join(bin, "id"), `#!/bin/sh\necho ${user}\n`, 0o755);
    const all: NonNullable<Shape["disks"]> = { [home]: { mount: "/", sizeMb: 30_000 }, ...disks };
    const sizes = Object.entries(all).map(([path, { mount, sizeMb, freeMb = sizeMb / 2 }]) => {
      const row = `disk ${sizeMb * 1024} 0 ${freeMb * 1024} 0% ${mount}`;
      return `'${join(root, path)}') echo '${row}' ;;`;
    });
    write(
      join(bin, "df"),
      `#!/bin/sh\necho header\ncase $2 in\n${sizes.join("\n")}\n*) echo 'disk 1 0 1 0% /' ;;\nesac\n`,
      0o755,
    );
    const lines = [
      `export ATELIER_ROOT='${root}' HOME='${join(root, home)}' PATH='${bin}':"$PATH"`,
      `BOX_SHELL='${runs}'`,
    ];
    write(join(this.#dir, "shape.sh"), `${lines.join("\n")}\n`);
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
