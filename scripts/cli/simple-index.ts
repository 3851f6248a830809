import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { request, withoutLogin } from "./http.ts";

export interface IndexFile {
  file: string;
  url: string;
  sha256: string | undefined;
  /** Where the index tells it (PEP 700). */
  bytes?: number | undefined;
  yanked: boolean;
}

const run = promisify(execFile);

/**
 * Indexes as addresses: `default` is the one that this machine's pip uses.
 * @returns without those that can't be known here
 */
export async function indexAddresses(pypi: readonly string[]): Promise<string[]> {
  const known = await Promise.all(pypi.map((index) => (index === "default" ? defaultIndex() : index)));
  return known
    .filter((index) => index !== undefined && index !== "offline")
    .map((index) => index?.replace(/\/$/, "") ?? "");
}

/** pip's own default, or what this machine's settings say instead. A Python without pip has the one that it would put into a virtual environment. */
const ASK_PIP = `
import glob, os, subprocess, sys
try:
    import pip
except ImportError:
    import ensurepip
    folders = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), "/usr/share/python-wheels"
    wheel = [file for folder in folders for file in sorted(glob.glob(folder + "/pip-*.whl"))][-1]
    sys.path.insert(0, wheel)
    os.environ["PYTHONPATH"] = wheel
from pip._internal.models.index import PyPI
got = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True).stdout.strip()
print(got or PyPI.simple_url)
`;

async function defaultIndex(): Promise<string | undefined> {
  const set = process.env.UV_DEFAULT_INDEX ?? process.env.PIP_INDEX_URL;
  if (set) return set;
  for (const python of ["python3", "python"]) {
    try {
      const { stdout } = await run(python, ["-c", ASK_PIP], { timeout: 60_000 });
      if (/^https?:/.test(stdout.trim())) return stdout.trim();
    } catch {
      // Without pip there is nobody to ask.
    }
  }
  return undefined;
}

/**
 * The files that an index has of a package (PEP 503 and 691).
 * @param index its address without a slash at the end
 * @throws Error with the answer, where it is no page of an index
 */
export async function indexFiles(
  index: string,
  name: string,
  { seconds = 30, signal }: { seconds?: number; signal?: AbortSignal } = {},
): Promise<IndexFile[]> {
  const url = `${index}/${name.toLowerCase().replace(/[-_.]+/g, "-")}/`;
  const accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.2";
  const answer = await request(url, { headers: { accept }, seconds, signal });
  const shown = withoutLogin(url);
  if (!answer.ok) throw new Error(`${shown} answered HTTP ${answer.status}`);
  const text = await answer.text();
  const named = (answer.headers.get("content-type") ?? "").includes("json")
    ? fromJson(text, answer.url)
    : fromHtml(text, answer.url);
  // A file gets the name that an index says: one with a folder in it would lie, and remove what lies, elsewhere.
  const files = named.filter(({ file }) => /^\w[\w.+!-]*$/.test(file));
  if (files.length === 0) throw new Error(`${shown} answered something that is no index page`);
  return files.map((file) => ({ ...file, url: withLoginOf(index, file.url) }));
}

/** What lies on the index's own server is asked for as the index is. */
function withLoginOf(index: string, file: string): string {
  const [from, to] = [new URL(index), new URL(file)];
  if (from.username === "" || from.host !== to.host) return file;
  to.username = from.username;
  to.password = from.password;
  return to.href;
}

function fromJson(text: string, base: string): IndexFile[] {
  const page = JSON.parse(text) as {
    files: { filename: string; url: string; hashes?: { sha256?: string }; size?: number; yanked?: boolean | string }[];
  };
  return page.files.map(({ filename, url, hashes, size, yanked }) => ({
    file: filename,
    url: new URL(url, base).href,
    sha256: hashes?.sha256,
    bytes: size,
    yanked: Boolean(yanked),
  }));
}

function fromHtml(text: string, base: string): IndexFile[] {
  return [...text.matchAll(/<a\s([^>]*)>([^<]*)<\/a>/gi)].flatMap(([, attributes = "", label = ""]) => {
    const href = /href\s*=\s*"([^"]*)"/i.exec(attributes)?.[1];
    if (!href) return [];
    const url = new URL(href.replaceAll("&amp;", "&"), base);
    const sha256 = /sha256=([0-9a-f]{64})/.exec(url.hash)?.[1];
    url.hash = "";
    return [{ file: label.trim(), url: url.href, sha256, yanked: /data-yanked/i.test(attributes) }];
  });
}

/** The newest final release among files; undefined where there is none. */
export function newestVersion(files: readonly IndexFile[]): string | undefined {
  const versions = files
    .filter(({ yanked }) => !yanked)
    .map(
      ({ file }) =>
        /^[\w.]+?-(\d+(?:\.\d+)*(?:\.post\d+)?)(?:-|\.tar|\.zip)/.exec(
          file.replace(/^(.*?)-(?=\d)/, (_, name: string) => `${name.replaceAll("-", "_")}-`),
        )?.[1],
    )
    .filter((version) => version !== undefined);
  return versions.sort((a, b) => compareVersions(a, b)).at(-1);
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(/\.post|\./).map(Number));
  for (let index = 0; index < Math.max(left?.length ?? 0, right?.length ?? 0); index++) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
