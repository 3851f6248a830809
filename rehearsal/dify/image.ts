import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..", "..");
const packages = ["yaml", "fflate", "pngjs"];
const applets =
  "cat chmod chown echo env false grep head hostname id ls mkdir nc printf rm sed sh sleep stat tail test touch tr true wget".split(
    " ",
  );

/** What Dify's health checks call, as far as they go here. */
const shims: Record<string, string> = {
  curl: 'for url; do :; done; exec wget -q -O /dev/null "$url"',
  pg_isready: "exec nc -w 2 127.0.0.1 5432 </dev/null",
  "redis-cli": "printf 'AUTH %s\\r\\nPING\\r\\n' \"$REDISCLI_AUTH\" | nc -w 2 127.0.0.1 6379",
  celery: "wget -q -O - http://127.0.0.1:5555/ping",
  bash: "exec nc -w 2 127.0.0.1 3128 </dev/null",
};

/** Why no image can be made of what this machine has; undefined: it can. */
export function whyNoImage(): string | undefined {
  if (process.platform !== "linux") return "the stand-in's image is made of Linux programs of this machine";
  if (!busybox()) return "no statically linked busybox (package busybox-static)";
  return undefined;
}

/**
 * Makes the one image that stands for all of Dify's services, of files of this machine only: the Node that runs, the
 * libraries that it needs, busybox, this folder's code. Nothing is fetched.
 * @param options.socket the Docker engine's
 * @param options.environment baked into the image
 * @throws when the engine does not take it
 */
export async function importImage(options: {
  socket: string;
  name: string;
  workDir: string;
  environment: Record<string, string>;
}): Promise<void> {
  const tree = join(options.workDir, "image");
  rmSync(tree, { recursive: true, force: true });
  try {
    layOut(tree);
    await importTree(tree, options);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Whether an engine has an image of this name. @throws when it does not answer */
export function hasImage(socket: string, name: string): Promise<boolean> {
  return new Promise((answer, fails) => {
    const sent = request({ socketPath: socket, path: `/images/${encodeURIComponent(name)}/json`, timeout: 10_000 });
    sent.once("timeout", () => sent.destroy(new Error(`the Docker engine at ${socket} did not answer within 10 s`)));
    sent.once("error", fails);
    sent.once("response", (response) => {
      response.resume();
      answer(response.statusCode === 200);
    });
    sent.end();
  });
}

function layOut(tree: string): void {
  for (const folder of [
    "bin",
    "tmp",
    "etc/atelier",
    "etc/squid",
    "etc/nginx/conf.d",
    "conf",
    "run",
    "usr/local/bin",
    "app/api/storage",
  ])
    mkdirSync(join(tree, folder), { recursive: true });
  chmodSync(join(tree, "tmp"), 0o1777);
  const node = join(tree, "usr", "local", "bin", "node");
  copyFileSync(process.execPath, node);
  for (const library of librariesOf(process.execPath)) {
    mkdirSync(join(tree, dirname(library)), { recursive: true });
    copyFileSync(library, join(tree, library));
  }
  const ssh = sshClient();
  if (ssh) {
    copyFileSync(ssh, join(tree, "bin", "ssh"));
    for (const library of librariesOf(ssh)) {
      mkdirSync(join(tree, dirname(library)), { recursive: true });
      copyFileSync(library, join(tree, library));
    }
  }
  copyFileSync(busybox() ?? "", join(tree, "bin", "busybox"));
  for (const applet of applets) symlinkSync("busybox", join(tree, "bin", applet));
  for (const [name, body] of Object.entries(shims))
    writeFileSync(
      join(tree, "bin", name),
      `#!/bin/sh\n# REHEARSAL: as much of ${name} as a health check needs\n${body}\n`,
      { mode: 0o755 },
    );
  for (const folder of ["dify", "llm", "lib"])
    cpSync(join(root, "rehearsal", folder), join(tree, "rehearsal", folder), { recursive: true });
  for (const name of packages)
    cpSync(join(root, "node_modules", name), join(tree, "node_modules", name), { recursive: true });
  writeFileSync(join(tree, "package.json"), '{ "type": "module" }\n');
  writeFileSync(join(tree, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\n");
}

/** For the tunnel to a WebUI on loopback, whose image is built on this one. */
const sshClient = (): string | undefined => ["/usr/bin/ssh", "/usr/local/bin/ssh"].find((path) => existsSync(path));

function busybox(): string | undefined {
  return ["/bin/busybox", "/usr/bin/busybox"].find(
    (path) => existsSync(path) && !readFileSync(path).includes("/lib64/ld-linux"),
  );
}

/** As the loader finds them. */
function librariesOf(program: string): string[] {
  const said = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...new Set([...said.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? ""))].filter(Boolean);
}

function importTree(tree: string, options: Parameters<typeof importImage>[0]): Promise<void> {
  const [repo = "", tag = "latest"] = options.name.split(/:(?=[^:/]+$)/);
  const query = new URLSearchParams({ fromSrc: "-", repo, tag });
  for (const [name, value] of Object.entries(options.environment)) query.append("changes", `ENV ${name}=${value}`);
  query.append("changes", 'ENTRYPOINT ["/usr/local/bin/node", "/rehearsal/dify/container/main.ts"]');
  const tar = spawn("tar", ["-C", tree, "--owner=0", "--group=0", "-c", "."], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((made, fails) => {
    const giveUp = (error: Error) => {
      // What an engine reads no more, such as one whose disk is full, would keep this process alive.
      tar.kill();
      sent.destroy();
      fails(error);
    };
    const sent = request({
      socketPath: options.socket,
      method: "POST",
      path: `/images/create?${query}`,
      headers: { "Content-Type": "application/x-tar" },
    });
    sent.on("error", giveUp);
    sent.once("response", (response) => {
      let said = "";
      response.on("data", (part: Buffer) => {
        said = (said + part.toString("utf8")).slice(-2000);
      });
      response.once("end", () => {
        const refused = /"error":\s*"([^"]*)"/.exec(said)?.[1];
        if (response.statusCode === 200 && !refused) made();
        else
          giveUp(
            new Error(
              `The Docker engine at ${options.socket} did not take the stand-in's image ${options.name}: ${response.statusCode} ${refused ?? said}`,
            ),
          );
      });
    });
    tar.once("error", giveUp);
    tar.stdout.pipe(sent);
  });
}
