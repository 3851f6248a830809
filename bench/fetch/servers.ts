import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A file on the disk that is served. */
export interface Served {
  path: string;
  sha256: string;
}

/** Servers of limited rate, each a process and a host name of its own, as real ones are (aria2c counts connections by name). */
export class Servers {
  readonly urls: string[] = [];
  readonly #children: ChildProcess[] = [];

  /** @param dies bytes after which the first goes away; 0: it stays */
  static async start(count: number, { path, sha256 }: Served, rate: number, dies = 0): Promise<Servers> {
    const servers = new Servers();
    for (let index = 0; index < count; index++) {
      const host = `127.0.0.${index + 1}`;
      const options = {
        "--file": path,
        "--sha256": sha256,
        "--rate": rate,
        "--host": host,
        "--dies": index === 0 ? dies : 0,
      };
      const args = Object.entries(options).flatMap(([key, value]) => [key, String(value)]);
      const child = spawn(process.execPath, [join(import.meta.dirname, "server.ts"), ...args], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      servers.#children.push(child);
      const port = await new Promise<string>((resolve, reject) => {
        createInterface({ input: child.stdout }).once("line", resolve);
        child.once("error", reject).once("exit", (code) => reject(new Error(`a server ended with ${code}`)));
      });
      // As a hub names it: huggingface_hub makes the same address of its endpoint.
      servers.urls.push(`http://${host}:${port}/o/r/resolve/main/f.safetensors`);
    }
    return servers;
  }

  stop(): void {
    for (const child of this.#children) child.stdin?.end();
  }
}
