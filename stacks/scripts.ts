import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync, strToU8 } from "fflate";

const folder = resolve(import.meta.dirname, "..", "scripts", "host");

/** What a workspace has of Atelier's, and loses with it, as the step that removes it names it. */
const ours = /^ours='(.*)'$/m.exec(readFileSync(join(folder, "00-workspace.sh"), "utf8"))?.[1] ?? "";

/**
 * Refuses somebody's folder: what it has under names of ours would be replaced now, and be removed by `down`. Ours is what has an identity;
 * the scripts of an `up` that was cut off, or the packages of an image (images/webui), tell the rest. Gives it its identity, so that no later
 * run has to ask.
 */
function claim(workspace: string): string[] {
  return [
    `ws='${workspace}'`,
    // Laid by another login, such as root: half of it would be replaced before the first refusal.
    'for part in "$ws" "$ws/bin" "$ws/run"; do',
    '  if [ -d "$part" ] && { [ ! -w "$part" ] || [ ! -x "$part" ]; }; then',
    '    case $(LC_ALL=C touch "$part/.write.$$" 2>&1) in *[Rr]ead-only*)',
    '      echo "error: scripts: the file system of $part is read-only. Nothing was changed. Have it mounted for writing, or set host.workspace to a folder on another disk" >&2',
    "      exit 3 ;;",
    "    esac",
    '    echo "error: scripts: $(id -un 2>/dev/null || id -u) may not write to $part, which is $(ls -ld "$part" | awk \'{ print $3 }\')\'s. Nothing was changed. Set host.user to that login again, or host.workspace to a folder of this one" >&2',
    "    exit 3",
    "  fi",
    "done",
    'if [ ! -s "$ws/run/id" ]; then',
    "  found=''",
    '  if [ ! -f "$ws/bin/00-workspace.sh" ] && [ ! -f "$ws/venv/.atelier-wheels" ]; then',
    "    # An order to purge that found no workspace.",
    '    if [ "$(ls -A "$ws/run" 2>/dev/null)" = purge ]; then rm -r "$ws/run"; fi',
    `    for name in ${ours}; do`,
    '      if [ -e "$ws/$name" ] || [ -L "$ws/$name" ]; then found="$found $name"; fi',
    "    done",
    "  fi",
    '  if [ -n "$found" ]; then',
    '    echo "error: scripts: the workspace $ws is a folder that Atelier did not make (it has no run/id), with names in it that a workspace has of its own:$found. Nothing was changed: they would be replaced, and removed by down. Set host.workspace to an empty folder, such as $ws/atelier" >&2',
    "    exit 3",
    "  fi",
    "fi",
    // Also what one that was killed left: on a full disk nothing would fit beside it.
    "tidy() {",
    '  for part in "$ws"/bin.new.* "$ws"/run.new.*; do',
    `    pid=\${part##*.new.}`,
    '    if [ "$pid" = "$$" ] || ! kill -0 "$pid" 2>/dev/null; then rm -rf "$part"; fi',
    "  done",
    "}",
    "trap tidy EXIT",
    "tidy",
    'if [ ! -s "$ws/run/id" ]; then',
    "  # Whole, in one move: half of it would be refused by the next run.",
    '  mkdir -p "$ws/run.new.$$"',
    '  cat /proc/sys/kernel/random/uuid >"$ws/run.new.$$/id"',
    '  if [ -d "$ws/run" ]; then mv "$ws/run.new.$$/id" "$ws/run/id" && rmdir "$ws/run.new.$$"; else mv "$ws/run.new.$$" "$ws/run"; fi',
    "fi",
  ];
}

/**
 * A shell script that lays `scripts/host/` into `<workspace>/bin`: strays gone, modes set, the old folder replaced in one move.
 * It travels on standard input to `sh -s`; a CopyToRemote would lose the modes and keep the strays. The scripts are packed in it: a state
 * has this text twice, and is written after every step.
 */
export function installer(workspace: string, token: string): string {
  const files = readdirSync(folder).filter((file) => /\.(sh|py)$/.test(file));
  const lines = [
    // Read to its end before any of it runs: of a text that was cut off, what came would run, and end well.
    `{ # token ${token}`,
    "set -eu",
    "umask 077",
    "for tool in base64 gzip sha256sum; do",
    '  command -v "$tool" >/dev/null || { echo "error: scripts: this host has no $tool, which every Linux has but the barest images. Nothing was changed. Install its package (coreutils, gzip)" >&2; exit 3; }',
    "done",
    ...claim(workspace),
  ];
  lines.push(
    'bin="$ws/bin"',
    'new="$bin.new.$$"',
    'mkdir -p "$new"',
    `base64 -d >"$new/.packed.gz" <<'END'`,
    ...(packed(files.sort()).match(/.{1,1000}/g) ?? []),
    "END",
    'gzip -d "$new/.packed.gz"',
    '(cd "$new" && sh -eu ./.packed && rm .packed && chmod 700 -- *.sh *.py)',
    // By which check-all.sh sees that one is gone, or is another.
    '(cd "$new" && sha256sum -- *.sh *.py >.laid)',
    'if [ -d "$bin" ]; then mv "$bin" "$new.old"; fi',
    'mv "$new" "$bin"',
    'rm -rf "$new.old"',
    `echo '{"step":"scripts","files":${files.length}}'`,
    "}",
  );
  return `${lines.join("\n")}\n`;
}

/** Packed by what packs alike on every machine: other bytes would be another text, and lay all of them again. */
function packed(files: string[]): string {
  const lines = files.flatMap((file) => {
    const text = readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n");
    const end = `END_OF_${file.replaceAll(/\W/g, "_")}`;
    if (text.split("\n").includes(end)) throw new Error(`scripts/host/${file} has a line ${end}`);
    return [`cat >${file} <<'${end}'`, text.endsWith("\n") ? text.slice(0, -1) : text, end];
  });
  const gzip = gzipSync(strToU8(`${lines.join("\n")}\n`), { mtime: 0, level: 6 });
  return Buffer.from(gzip).toString("base64");
}

/** Takes `bin` away, where it is ours: another box may stand behind the address. Plain words and single quotes, for any login shell. */
export const uninstaller = (workspace: string): string =>
  `sh -c 'test ! -f "$0/00-workspace.sh" || rm -rf "$0"' '${workspace}/bin'`;
