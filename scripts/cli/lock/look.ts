import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { catalog } from "../../../images/catalog.ts";
import type { AtelierLock, Seen } from "../../../images/lock.ts";
import { lockNames, readLock } from "../../../images/locks.ts";
import type { Upstreams } from "../../../stacks/upstreams.ts";
import { inParallel, pastProxy, request, whyFailed, withoutLogin } from "../http.ts";
import { root } from "../paths.ts";
import { isTimeout, Servers } from "../silence.ts";
import { indexAddresses, indexFiles, newestVersion } from "../simple-index.ts";

/** What one upstream said of one locked thing. */
export interface Finding {
  kind: "git" | "wheels" | "model" | "image" | "plugin";
  name: string;
  /** `moved`: it says something else than when it was locked, or has it no more. */
  status: "same" | "moved" | "unreachable";
  detail: string;
}
export interface Look {
  findings: Finding[];
  seen: Required<Seen>;
}

const run = promisify(execFile);
/** Seconds that one question may take. */
const patience = 20;

/** Asks the upstreams after everything in the lock, each with a deadline, all at the same time. */
export async function lookAtUpstreams(lock: AtelierLock, upstreams: Upstreams): Promise<Look> {
  const servers = new Servers();
  const looks = await Promise.all([
    Promise.all([...lock.sources, ...lock.extensions].map((source) => lookAtGit(source, lock, upstreams.git, servers))),
    lookAtIndex(lock, upstreams.pypi, servers),
    inParallel(lock.models, 8, (model) => lookAtModel(model, lock, upstreams, servers)),
  ]);
  const all = looks.flat();
  return {
    findings: all.flatMap(({ findings }) => findings),
    seen: {
      git: Object.assign({}, ...all.map(({ seen }) => seen.git)),
      packages: Object.assign({}, ...all.map(({ seen }) => seen.packages)),
      models: Object.assign({}, ...all.map(({ seen }) => seen.models)),
    },
  };
}

type Part = { findings: Finding[]; seen: Partial<Seen> };

async function lookAtGit(
  { name, commit, paths }: AtelierLock["sources"][number],
  lock: AtelierLock,
  bases: readonly string[],
  servers: Servers,
): Promise<Part> {
  const tag = name === "webui" ? lock.webui : undefined;
  const whys: string[] = [];
  for (const path of paths) {
    for (const base of bases) {
      let refs: Record<string, string>;
      try {
        refs = await servers.ask(base, () => listRefs(`${base}${path}`, tag), wasKilled);
      } catch (error) {
        whys.push(`${base}${path}: ${firstLine(error)}`);
        continue;
      }
      if (Object.keys(refs).length === 0) {
        // git reads any page as a list of refs.
        whys.push(`${base}${path}: it answers without a single ref (a login page of the network?)`);
        continue;
      }
      const moved: string[] = [];
      const known = lock.seen?.git[path] ?? {};
      if (tag && refs[tag] !== commit)
        moved.push(`the tag ${tag} is at ${refs[tag] ?? "nothing"}, locked is ${commit}`);
      for (const [ref, at] of Object.entries(refs))
        if (ref !== tag && known[ref] !== undefined && known[ref] !== at)
          moved.push(`${ref} was at ${known[ref]}, is at ${at}`);
      const now = `HEAD is at ${refs.HEAD ?? "nothing"}${known.HEAD ? "" : "; it was not seen when this was locked"}`;
      const detail = `${path}: ${moved.length > 0 ? moved.join("; ") : now}`;
      return {
        findings: [{ kind: "git", name, status: moved.length > 0 ? "moved" : "same", detail }],
        seen: { git: { [path]: refs } },
      };
    }
  }
  // The server is there, and the repository is not: that is how upstreams vanish.
  const gone = whys.length > 0 && whys.every((why) => /not found|does not exist| 404/i.test(why));
  const detail = gone ? `gone: ${whys.join("; ")}` : whys.join("; ") || "no git upstream is set";
  return { findings: [{ kind: "git", name, status: gone ? "moved" : "unreachable", detail }], seen: {} };
}

async function listRefs(url: string, tag: string | undefined): Promise<Record<string, string>> {
  const wanted = ["HEAD", ...(tag ? [`refs/tags/${tag}`, `refs/tags/${tag}^{}`] : [])];
  const { stdout } = await run("git", ["ls-remote", "--", url, ...wanted], {
    timeout: patience * 1000,
    env: { ...process.env, no_proxy: pastProxy(), GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" },
  });
  const refs: Record<string, string> = {};
  // A tag with a message names an object of its own; `^{}` is the commit.
  for (const [, commit, ref] of stdout.matchAll(/^([0-9a-f]{40})\t(\S+)$/gm))
    if (commit && ref) refs[ref.replace(/^refs\/tags\//, "").replace(/\^\{\}$/, "")] = commit;
  return refs;
}

/** By our own deadline. */
const wasKilled = (error: unknown): boolean => (error as { killed?: boolean }).killed === true;

function firstLine(error: unknown): string {
  const { stderr = "", message } = error as { stderr?: string; message: string };
  if (wasKilled(error)) return `no answer within ${patience} s`;
  const lines = stderr.split("\n").filter(Boolean);
  return lines.find((line) => line.startsWith("fatal:")) ?? lines[0] ?? message;
}

async function lookAtIndex(lock: AtelierLock, pypi: readonly string[], servers: Servers): Promise<Part[]> {
  const indexes = await indexAddresses(pypi);
  if (indexes.length === 0) {
    const detail =
      "no index is known on this machine: it has no pip and no venv of Python's, and upstreams.pypi is not set";
    return [{ findings: [{ kind: "wheels", name: "index", status: "unreachable", detail }], seen: {} }];
  }
  const asked = new Set(lockNames().flatMap((name) => named(name)));
  const locked = new Map(
    lockNames().flatMap((name) => readLock(name).packages.map((entry) => [entry.name, entry] as const)),
  );
  return inParallel([...locked.values()], 12, async ({ name, version, sha256 }): Promise<Part> => {
    const finding = (status: Finding["status"], detail: string): Finding => ({
      kind: "wheels",
      name: `${name} ${version}`,
      status,
      detail,
    });
    const whys: string[] = [];
    for (const index of indexes) {
      const shown = withoutLogin(index);
      try {
        const files = await servers.ask(index, () => indexFiles(index, name, { seconds: patience }), isTimeout);
        const mine = files.filter((file) => file.sha256 !== undefined && sha256.includes(file.sha256));
        const newest = newestVersion(files);
        const before = lock.seen?.packages[name];
        const moved = [
          mine.length < sha256.length
            ? `${sha256.length - mine.length} of ${sha256.length} locked files are gone from ${shown}`
            : "",
          mine.some(({ yanked }) => yanked) ? "withdrawn (yanked)" : "",
          asked.has(name) && before !== undefined && newest !== before ? `the newest was ${before}, is ${newest}` : "",
        ].filter(Boolean);
        return {
          findings: [
            moved.length > 0 ? finding("moved", moved.join("; ")) : finding("same", `newest: ${newest ?? version}`),
          ],
          seen: asked.has(name) && newest ? { packages: { [name]: newest } } : {},
        };
      } catch (error) {
        whys.push(`${shown}: ${whyFailed(error)}`);
      }
    }
    const gone = isGone(whys);
    return {
      findings: [finding(gone ? "moved" : "unreachable", `${gone ? "gone: " : ""}${whys.join("; ")}`)],
      seen: {},
    };
  });
}

/** The packages that a lock was asked for, without those that came with them. */
function named(lock: string): string[] {
  const text = readFileSync(join(root, "images", "wheels", `${lock}.in`), "utf8");
  return [...text.matchAll(/^([A-Za-z0-9][\w.-]*)/gm)].map(([, name = ""]) =>
    name.toLowerCase().replace(/[-_.]+/g, "-"),
  );
}

async function lookAtModel(
  model: AtelierLock["models"][number],
  lock: AtelierLock,
  { huggingface, modelscope }: Upstreams,
  servers: Servers,
): Promise<Part> {
  const { name } = model;
  const sources = catalog.find((entry) => entry.name === name)?.sources ?? [];
  const urls = sources.flatMap((source) => {
    if ("url" in source) return [source.url];
    if ("huggingface" in source) return huggingface.map((base) => base + source.huggingface);
    return modelscope.map((base) => base + source.modelscope);
  });
  const whys: string[] = [];
  for (const url of new Set(urls)) {
    try {
      const { status, bytes, etag, page } = await servers.ask(new URL(url).origin, () => head(url), isTimeout);
      if (status >= 400) {
        whys.push(`${url}: HTTP ${status}`);
        continue;
      }
      if (page) {
        whys.push(`${url}: a page instead of the file (a login page of the network?)`);
        continue;
      }
      const before = lock.seen?.models[name];
      const moved = [
        model.bytes !== undefined && bytes !== undefined && bytes !== model.bytes
          ? `has ${bytes} bytes, locked are ${model.bytes}`
          : "",
        model.sha256 && etag && /^[0-9a-f]{64}$/.test(etag) && etag !== model.sha256
          ? `its sha256 is ${etag}, locked is ${model.sha256}`
          : "",
        before?.etag && etag && before.etag !== etag ? `its etag was ${before.etag}, is ${etag}` : "",
      ].filter(Boolean);
      const detail =
        moved.length > 0
          ? `${url}: ${moved.join("; ")}`
          : `${bytes ?? "?"} bytes at ${new URL(url).host}${model.sha256 ? "" : "; no sha256 is locked yet"}`;
      return {
        findings: [{ kind: "model", name, status: moved.length > 0 ? "moved" : "same", detail }],
        seen: { models: { [name]: { ...(bytes !== undefined && { bytes }), ...(etag && { etag }) } } },
      };
    } catch (error) {
      whys.push(`${url}: ${whyFailed(error)}`);
    }
  }
  const gone = isGone(whys);
  return {
    findings: [
      {
        kind: "model",
        name,
        status: gone ? "moved" : "unreachable",
        detail: `${gone ? "gone: " : ""}${whys.join("; ")}`,
      },
    ],
    seen: {},
  };
}

/** Every server that was asked is there, and has it no more: that is how upstreams vanish. */
const isGone = (whys: readonly string[]): boolean =>
  whys.length > 0 && whys.every((why) => /HTTP (404|410)$/.test(why));

/** The hubs tell a file's own length and sha256 before they redirect to where it lies. */
async function head(url: string): Promise<{ status: number; bytes?: number; etag?: string; page: boolean }> {
  const first = await request(url, {
    method: "HEAD",
    redirect: "manual",
    headers: { "accept-encoding": "identity" },
    seconds: patience,
  });
  const linked = first.headers.get("x-linked-etag");
  const answer =
    first.status >= 300 && first.status < 400 && !linked
      ? await request(url, { method: "HEAD", headers: { "accept-encoding": "identity" }, seconds: patience })
      : first;
  const length =
    answer.headers.get("x-linked-size") ?? (answer.status < 300 ? answer.headers.get("content-length") : null);
  const etag = (linked ?? answer.headers.get("etag"))?.replace(/^W\//, "").replaceAll('"', "");
  const page = !linked && (answer.headers.get("content-type") ?? "").startsWith("text/html");
  return { status: answer.status, page, ...(length && { bytes: Number(length) }), ...(etag && { etag }) };
}
