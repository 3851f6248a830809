import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { BootstrapError, say } from "./errors.mjs";
import { withLock } from "./lock.mjs";

/**
 * Installs the locked packages where they are missing or not the locked ones.
 * @param {string} root the repository
 */
export async function ensurePackages(root) {
  // A child of the bootstrap need not look again.
  if (process.env.ATELIER_PACKAGES === root || !staleness(root)) return;
  await withLock(
    join(root, ".atelier", "packages.lock"),
    () => {
      // Another may have installed them while this one waited.
      const why = staleness(root);
      if (why) install(root, why);
    },
    { doing: "installs the packages" },
  );
  process.env.ATELIER_PACKAGES = root;
}

/**
 * Why the installed packages are not the locked ones; undefined when they are.
 * npm writes node_modules/.package-lock.json last, so an interrupted install counts as none.
 */
export function staleness(root) {
  const locked = readPackages(join(root, "package-lock.json"));
  if (!locked) {
    throw new BootstrapError(`${join(root, "package-lock.json")} can't be read. Is this a complete clone of Atelier?`);
  }
  const installed = readPackages(join(root, "node_modules", ".package-lock.json"));
  if (!installed) return "missing";
  for (const [path, wanted] of Object.entries(locked)) {
    if (path === "" || wanted.link || !path.startsWith("node_modules/")) continue;
    const have = installed[path];
    // Packages for other platforms; which those are, npm has decided.
    if (!have && wanted.optional) continue;
    if (have?.version !== wanted.version || have?.integrity !== wanted.integrity) return "not the locked ones";
    if (!existsSync(join(root, path))) return "incomplete";
  }
  return undefined;
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

function install(root, why) {
  say(`Atelier's packages are ${why}: running npm ci (about 20 s).`);
  const started = Date.now();
  const { command, prefix } = npm(root);
  const result = spawnSync(
    command,
    [...prefix, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: root,
      // Standard output belongs to the command itself (`--json`, `env`).
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      timeout: 900_000,
      shell: command.endsWith(".cmd"),
    },
  );
  if (result.status !== 0) {
    const came = result.error?.message ?? `${result.stderr}${result.stdout}`.trim().split("\n").slice(-15).join("\n");
    throw new BootstrapError(
      `npm ci --ignore-scripts in ${root} failed (exit ${result.status ?? result.signal}):\n${came}\n` +
        "Where the registry can't be reached, set a mirror (npm config set registry <url>) and run the same command again.",
    );
  }
  say(`Packages installed in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
}

/** The machine's own npm, run by its own Node: npm ci deletes node_modules, and with it whatever runs from there. */
function npm(root) {
  const inside = join(root, "node_modules");
  const given = process.env.npm_execpath;
  const node = process.execPath.startsWith(inside) ? findOnPath("node", inside) : process.execPath;
  const beside = join(dirname(node ?? process.execPath), "..", "lib", "node_modules", "npm", "bin", "npm-cli.js");
  const windowsBeside = join(dirname(node ?? process.execPath), "node_modules", "npm", "bin", "npm-cli.js");
  const cli = [given, beside, windowsBeside].find(
    (path) => path?.endsWith("npm-cli.js") && !path.startsWith(inside) && existsSync(path),
  );
  if (node && cli) return { command: node, prefix: [cli] };
  const found = findOnPath("npm", inside);
  if (found) return { command: found, prefix: [] };
  throw new BootstrapError(
    "npm was not found on PATH. Install Node 24 with its npm from https://nodejs.org and run the same command again.",
  );
}

function findOnPath(name, except) {
  const names = process.platform === "win32" ? [`${name}.exe`, `${name}.cmd`] : [name];
  for (const folder of (process.env.PATH ?? process.env.Path ?? "").split(delimiter)) {
    if (folder === "" || folder.startsWith(except)) continue;
    for (const file of names) if (existsSync(join(folder, file))) return join(folder, file);
  }
  return undefined;
}
