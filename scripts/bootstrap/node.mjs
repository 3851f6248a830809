import { existsSync } from "node:fs";
import module from "node:module";
import { delimiter, dirname, join } from "node:path";
import { BootstrapError } from "./errors.mjs";

/** The oldest Node that runs the TypeScript here as it is. */
const oldest = [22, 19];

/** @param {string} version such as `v24.21.0` */
export function isCurrent(version) {
  const [major, minor] = version.replace(/^v/, "").split(".").map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

/**
 * The Node to go on with: the running one, else the one from the lock.
 * @param {string} root the repository
 * @returns {string} the path of its binary
 * @throws {BootstrapError} where there is none for this platform
 */
export function findNode(root, { version = process.version, platform = process.platform, arch = process.arch } = {}) {
  if (isCurrent(version)) return process.execPath;
  const system = platform === "win32" ? "win" : platform;
  const file = platform === "win32" ? "node.exe" : "node";
  const locked = join(root, "node_modules", `node-${system}-${arch}`, "bin", file);
  if (existsSync(locked)) return locked;
  throw new BootstrapError(
    `Atelier needs Node ${oldest.join(".")} or newer; this is Node ${version.replace(/^v/, "")} (${process.execPath}), ` +
      `and the npm registry has no Node for ${platform}-${arch} in the lock. Install Node 24 from https://nodejs.org and run the same command again.`,
  );
}

/** What this process and all its children see: the chosen Node and the tools first on PATH, compiled code kept between runs. */
export function setEnvironment(root, node) {
  const first = [dirname(node), join(root, "node_modules", ".bin")];
  const name = Object.keys(process.env).find((key) => key.toUpperCase() === "PATH") ?? "PATH";
  const rest = (process.env[name] ?? "").split(delimiter).filter((part) => part !== "" && !first.includes(part));
  process.env[name] = [...first, ...rest].join(delimiter);
  const cache = join(root, ".atelier", "cache", "node-compile");
  process.env.NODE_COMPILE_CACHE ??= cache;
  if (isCurrent(process.version)) module.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
  // Node 22 and 23 warn of stripping types at every start of a child.
  if (/^v2[23]\./.test(process.version) && node === process.execPath) {
    process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --disable-warning=ExperimentalWarning`.trim();
    process.removeAllListeners("warning");
  }
}
