import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const folder = resolve(import.meta.dirname, "..", "scripts", "host");

/**
 * A shell script that lays `scripts/host/` into `<workspace>/bin`: strays gone, modes set, the old folder replaced in one move.
 * It travels on standard input to `sh -s`; a CopyToRemote would lose the modes and keep the strays.
 */
export function installer(workspace: string, token: string): string {
  const bin = `${workspace}/bin`;
  const files = readdirSync(folder).filter((file) => /\.(sh|py)$/.test(file));
  const lines = [`# token ${token}`, "set -eu", "umask 077", `bin='${bin}'`, 'new="$bin.new.$$"', 'mkdir -p "$new"'];
  for (const file of files.sort()) {
    const text = readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n");
    const end = `END_OF_${file.replaceAll(/\W/g, "_")}`;
    if (text.split("\n").includes(end)) throw new Error(`scripts/host/${file} has a line ${end}`);
    lines.push(`cat > "$new/${file}" <<'${end}'`, text.endsWith("\n") ? text.slice(0, -1) : text, end);
    lines.push(`chmod 700 "$new/${file}"`);
  }
  lines.push(
    'if [ -d "$bin" ]; then mv "$bin" "$new.old"; fi',
    'mv "$new" "$bin"',
    'rm -rf "$new.old"',
    `echo '{"step":"scripts","files":${files.length}}'`,
  );
  return `${lines.join("\n")}\n`;
}
