import { createReadStream } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { inParallel } from "../http.ts";
import type { Session } from "../ssh.ts";
import { inWords, type Manifest } from "./manifest.ts";

/**
 * Lays a bundle into the cache of a host: `up --upstreams offline` finds it there. What is on the host already is not sent; a cut goes on where it was;
 * the host itself checks every sha256 before anything gets its place.
 * @param left is told how many bytes are still to be sent
 * @throws UserError where the host refuses, has no room, or what arrived is not what was sent
 */
export async function pushBundle(
  folder: string,
  manifest: Manifest,
  session: Session,
  { say, left: tellLeft = () => {} }: { say: (line: string) => void; left?: (bytes: number) => void },
): Promise<void> {
  const inbox = `${session.cache}/bundle`;
  const files = placesOf(manifest);
  const there = await sizesOf(session, inbox, files);
  const isThere = ({ path, bytes, commit }: Place) => there.get(path)?.placed === (commit ? 1 : bytes);
  const missing = files.filter((file) => !isThere(file));
  const left = missing.reduce((sum, { path, bytes }) => sum + bytes - Math.min(bytes, there.get(path)?.begun ?? 0), 0);
  say(`${files.length - missing.length} of ${files.length} files are on ${session.where}; sending ${inWords(left)}`);
  tellLeft(left);
  if (missing.length === 0) return;
  await checkRoom(session, left);
  const progress = new Sent(left, say);
  try {
    // Most files are small ones of git: their round trips overlap. A server gives ten channels at most.
    await inParallel(missing, 4, async ({ path, bytes }) => {
      const begun = there.get(path)?.begun ?? 0;
      if (begun === bytes && bytes > 0) return;
      // More than there should be is not a beginning.
      await send(session, join(folder, path), `${inbox}/${path}`, begun > bytes ? 0 : begun, progress);
    });
  } finally {
    progress.end();
  }
  say("the host checks what arrived");
  const { code, stdout, stderr } = await session.run("sh -s", layScript(session.cache, missing));
  if (code === 0) return say(stdout.trim());
  throw new UserError(
    `${session.where}: ${stderr.trim() || `ended with ${code}`}. What is broken was thrown away; run it again, and it is sent anew.`,
  );
}

interface Place {
  path: string;
  bytes: number;
  sha256: string;
  /** Below the cache. */
  to: string;
  /** Of a repository's files: its commit. It gets its place as a whole. */
  commit?: string | undefined;
}

/** Where scripts/host looks for each: the store of models, the folder of wheels, the bare repositories. */
function placesOf({ files, git, models, tokenizer, wheels }: Manifest): Place[] {
  const stored = new Set([...models, ...tokenizer.files].map(({ path }) => path));
  const wheel = new Set(wheels.map(({ path }) => path));
  // Dify's part is not for this host: `up` brings it to Dify's Docker engine from this machine.
  const forHost = files.filter(({ path }) => !/^(images|plugins)\//.test(path));
  return forHost.map(({ path, bytes, sha256 }) => ({
    path,
    bytes,
    sha256,
    to: stored.has(path) ? `sha256/${sha256}` : wheel.has(path) ? path.replace(/^.*\//, "wheels/") : repositoryOf(path),
    commit: git.find(({ folder }) => path.startsWith(`${folder}/`))?.commit,
  }));
}

/** `git/<name>.git` of a file in there. */
const repositoryOf = (path: string) => path.split("/").slice(0, 2).join("/");

/** Bytes of each file in its place (of a repository's files 1 where it has the commit), and of what was begun. */
async function sizesOf(
  session: Session,
  inbox: string,
  files: Place[],
): Promise<Map<string, { placed: number; begun: number }>> {
  const folders = [...new Set(files.map(({ path }) => path.split("/").slice(0, -1).join("/")))];
  const script = [
    "set -u",
    `cache='${session.cache}'`,
    // What lies there already is somebody's, and `down --purge` leaves it (scripts/host/00-workspace.sh).
    'mkdir -p "$cache" && { [ -e "$cache/.atelier" ] || [ -d "$cache/uses" ] || ls "$cache" | grep -vx bundle >"$cache/.atelier" || :; } || exit 1',
    `for folder in sha256 wheels git bundle ${folders.map((folder) => `'bundle/${folder}'`).join(" ")}; do mkdir -p "$cache/$folder" || exit 1; done`,
    'size() { if [ -f "$1" ]; then wc -c <"$1"; else echo -1; fi; }',
    // With a mark for the commit: by the step sources, or by an earlier push.
    'has() { if [ -f "$1/refs/atelier/$2" ] || grep -qx "$2" "$1/refs/heads/atelier" 2>/dev/null; then echo 1; else echo 0; fi; }',
    "while read -r path to commit; do",
    '  if [ "$commit" = - ]; then placed=$(size "$cache/$to"); else placed=$(has "$cache/$to" "$commit"); fi',
    '  echo "$path $placed $(size "$cache/bundle/$path")"',
    "done <<'END_OF_LIST'",
    ...files.map(({ path, to, commit }) => `${path} ${to} ${commit ?? "-"}`),
    "END_OF_LIST",
    "",
  ].join("\n");
  const { code, stdout, stderr } = await session.run("sh -s", script);
  if (code !== 0) throw new UserError(`${session.where} can't keep a bundle in ${inbox}: ${stderr.trim()}`);
  return new Map(
    stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [path = "", placed, begun] = line.split(/\s+/);
        return [path, { placed: Number(placed), begun: Math.max(0, Number(begun)) }];
      }),
  );
}

async function checkRoom(session: Session, wanted: number): Promise<void> {
  const { stdout } = await session.run(`sh -c 'df -Pk "$0" | tail -n 1' '${session.cache}'`);
  const free = Number(stdout.trim().split(/\s+/)[3]) * 1024;
  if (Number.isFinite(free) && free < wanted + 200_000_000)
    throw new UserError(
      `${session.where} has ${inWords(free)} free in ${session.cache}; the bundle wants ${inWords(wanted)} more. Free some, or set host.cache to a larger disk.`,
    );
}

async function send(session: Session, from: string, to: string, start: number, progress: Sent): Promise<void> {
  const source = createReadStream(from, { start, highWaterMark: 256 << 10 });
  source.on("data", (chunk) => progress.add(chunk.length));
  source.pause();
  await session.send(`sh -c 'cat ${start > 0 ? ">>" : ">"}"$0"' '${to}'`, source);
}

/** Checks every file on the host by its own sha256sum, and moves those that hold to their places. */
function layScript(cache: string, files: Place[]): string {
  return [
    "set -eu",
    // What sha256sum says of a file has to be read.
    "export LC_ALL=C",
    `cd '${cache}/bundle'`,
    "cat >list <<'END_OF_LIST'",
    ...files.map(({ sha256, path }) => `${sha256}  ${path}`),
    "END_OF_LIST",
    "if ! sha256sum -c list >checked 2>/dev/null; then",
    "  bad=$(sed -n 's/: FAILED.*//p' checked)",
    '  for path in $bad; do rm -f "$path"; done',
    '  echo "not what was sent: "$bad >&2',
    "  exit 1",
    "fi",
    "while read -r path to; do",
    '  [ ! -d "$path" ] || rm -rf "../$to"',
    '  mv -f "$path" "../$to"',
    "done <<'END_OF_PLACES'",
    ...new Set(files.map(({ path, to, commit }) => (commit ? `${to} ${to}` : `${path} ${to}`))),
    "END_OF_PLACES",
    `cd .. && rm -rf bundle && echo "${files.length} files laid into ${cache}, each by its sha256"`,
    "",
  ].join("\n");
}

class Sent {
  #bytes = 0;
  #last = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(total: number, say: (line: string) => void) {
    this.#timer = setInterval(() => {
      say(`… ${inWords(this.#bytes)} of ${inWords(total)}, ${inWords((this.#bytes - this.#last) / 2)}/s`);
      this.#last = this.#bytes;
    }, 2000);
  }
  add(bytes: number): void {
    this.#bytes += bytes;
  }
  end(): void {
    clearInterval(this.#timer);
  }
}
