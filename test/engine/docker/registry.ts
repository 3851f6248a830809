import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, waitForPort } from "../../../rehearsal/lib/ports.ts";
import { PATIENCE_MS } from "../../helpers/until.ts";

/** An image registry on loopback. */
export interface Registry {
  /** `127.0.0.1:port` */
  address: string;
  stop(): Promise<void>;
}

export const USER = "ann";
export const REGISTRY_PASSWORD = "p4ss-of-the-registry";
/** bcrypt of it, the only form that the registry takes. */
const HASH = "$2b$12$EXaFxVd28iDrtBUNo4RiQ.rIEssf/okWWr1kFuHI8a0ibTv3c2S2e";

const PROGRAM = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"].find(existsSync);

export const noRegistry: string | undefined =
  PROGRAM === undefined ? "no docker-registry on this machine (package docker-registry)" : undefined;

/** Starts a registry that lets in only ann, or everybody. */
export async function startRegistry({ open = false } = {}): Promise<Registry> {
  const dir = mkdtempSync(join(tmpdir(), "atelier-registry-"));
  const port = await freePort();
  mkdirSync(join(dir, "images"));
  writeFileSync(join(dir, "htpasswd"), `${USER}:${HASH}\n`);
  const config = [
    "version: 0.1",
    "log: { level: error }",
    `storage: { filesystem: { rootdirectory: ${join(dir, "images")} } }`,
    `http: { addr: "127.0.0.1:${port}" }`,
    ...(open ? [] : [`auth: { htpasswd: { realm: test, path: ${join(dir, "htpasswd")} } }`]),
  ];
  writeFileSync(join(dir, "config.yml"), `${config.join("\n")}\n`);
  const child = spawn(PROGRAM as string, ["serve", join(dir, "config.yml")], { stdio: "ignore" });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  if (!(await waitForPort(port, PATIENCE_MS))) throw new Error(`the registry does not answer on 127.0.0.1:${port}`);
  return {
    address: `127.0.0.1:${port}`,
    stop: async () => {
      process.off("exit", end);
      const gone = new Promise((done) => child.once("exit", done));
      if (child.exitCode === null && child.signalCode === null) {
        end();
        await gone;
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
