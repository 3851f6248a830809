import { spawnSync } from "node:child_process";

/** What a name of this machine's SSH configuration stands for; a stack's settings say all of it themselves. */
export interface SshAlias {
  address: string;
  port?: number;
  user?: string;
  keyFile?: string;
  /** The hosts that lead there, or the command that does. */
  through?: string;
}

/** Asks the `ssh` that is there; undefined where there is none, or where the name stands for itself. */
export function readSshAlias(name: string): SshAlias | undefined {
  const said = ask(["-G", "--", name]);
  const plain = ask(["-F", "none", "-G", "--", name]);
  const own = (key: string) => (said.get(key) === plain.get(key) ? undefined : said.get(key));
  const address = own("hostname");
  if (address === undefined) return undefined;
  const [port, user, keyFile] = [own("port"), own("user"), own("identityfile")];
  const through = [own("proxyjump"), own("proxycommand")].find((way) => way !== undefined && way !== "none");
  return {
    address,
    ...(port && { port: Number(port) }),
    ...(user && { user }),
    ...(keyFile && { keyFile }),
    ...(through && { through }),
  };
}

/** The first value of each key. */
function ask(args: string[]): Map<string, string> {
  const { stdout, status } = spawnSync("ssh", args, {
    encoding: "utf8",
    timeout: 5000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const values = new Map<string, string>();
  for (const line of status === 0 ? stdout.split(/\r?\n/) : []) {
    const [, key, value] = /^(\w+) (.*)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value);
  }
  return values;
}
