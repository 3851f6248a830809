import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type FileServer, honest, safetensors, serving } from "./lib/server.ts";
import { Workspace } from "./lib/workspace.ts";

let one: Workspace;
let other: Workspace;
let server: FileServer;
const serve = serving();
const files: Record<string, Buffer> = Object.fromEntries(
  ["a", "b", "c"].map((name, index) => [name, safetensors(50_000, index + 1)]),
);
const sha = (name: string) =>
  createHash("sha256")
    .update(files[name] ?? "")
    .digest("hex");
const line = (name: string, proved = true) => [
  name,
  "checkpoint",
  "Stable-diffusion",
  `${name}.safetensors`,
  files[name]?.length ?? 0,
  proved ? sha(name) : "-",
  `${server.base}${name}`,
];
const apply = (workspace: Workspace, ...names: string[]) =>
  workspace.run("60-models.sh", "apply", { models: names.map((name) => line(name)) });
const store = async (workspace: Workspace, verb: string) => {
  const answer = await workspace.run("store.sh", verb, {});
  return { ...answer, json: answer.code === 0 ? JSON.parse(answer.stdout) : undefined };
};
const inStore = () =>
  Object.keys(files)
    .filter((name) => existsSync(join(one.cache, "sha256", sha(name))))
    .join("");

beforeEach(async () => {
  one = new Workspace();
  other = new Workspace(one.cache);
  for (const workspace of [one, other]) {
    mkdirSync(join(workspace.path, "run"), { recursive: true });
    writeFileSync(join(workspace.path, "run/id"), "x");
  }
  server = await serve((request, response) =>
    honest(files[request.url?.slice(1) ?? ""] ?? Buffer.alloc(0))(request, response),
  );
});
afterEach(() => {
  other.destroy();
  one.destroy();
});

/** What Python compiled, for each of these packages. */
const compile = (...digits: string[]) => {
  for (const digit of digits) mkdirSync(join(one.cache, "pyc", digit.repeat(16), "usr"), { recursive: true });
};
const compiled = () => readdirSync(join(one.cache, "pyc")).sort();
const installed = (workspace: Workspace, digit: string) => {
  mkdirSync(join(workspace.path, "venv"), { recursive: true });
  writeFileSync(join(workspace.path, "venv/.atelier-wheels"), `${digit.repeat(64)} records \n`);
};

it("prune takes what no workspace names, and nothing that another one uses", async () => {
  await apply(one, "a", "b");
  await apply(other, "b", "c");
  await apply(one);
  // A file that only a lost claim speaks for: something on the disk still holds it.
  writeFileSync(join(one.cache, "sha256", "f".repeat(64)), "held");
  linkSync(join(one.cache, "sha256", "f".repeat(64)), join(one.top, "held"));
  writeFileSync(join(one.cache, "fetch", `${sha("a")}.part`), "begun");
  writeFileSync(join(one.cache, "fetch", `${sha("c")}.part`), "begun by the other");
  installed(one, "1");
  installed(other, "2");
  compile("1", "2", "3");
  mkdirSync(join(one.cache, "pyc/theirs"));
  const { code, stderr, json } = await store(one, "prune");
  expect(code, stderr).toBe(0);
  expect(compiled()).toEqual(["1".repeat(16), "2".repeat(16), "theirs"]);
  expect(json).toEqual({ removed: [{ sha256: sha("a"), bytes: files.a?.length }] });
  expect(inStore()).toBe("bc");
  expect(existsSync(join(one.cache, "sha256", "f".repeat(64)))).toBe(true);
  expect(existsSync(join(one.cache, "fetch", `${sha("a")}.part`))).toBe(false);
  expect(existsSync(join(one.cache, "fetch", `${sha("c")}.part`))).toBe(true);
  expect(existsSync(join(other.path, "data/models/Stable-diffusion/b.safetensors"))).toBe(true);
});

it("two prunes at once take everything, and neither stops where the other was first", async () => {
  mkdirSync(join(one.cache, "sha256"), { recursive: true });
  const names = Array.from({ length: 60 }, (_, index) => createHash("sha256").update(String(index)).digest("hex"));
  for (const name of names) writeFileSync(join(one.cache, "sha256", name), "idle");
  const both = await Promise.all([store(one, "prune"), store(other, "prune")]);
  expect(both.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
  ]);
  const taken = both.flatMap(({ json }) =>
    (json as { removed: { sha256: string }[] }).removed.map(({ sha256 }) => sha256),
  );
  expect(new Set(taken)).toEqual(new Set(names));
  expect(readdirSync(join(one.cache, "sha256"))).toEqual([]);
});

it("prune waits for nobody: while another stack fetches, it is refused", async () => {
  await apply(one, "a");
  await apply(one);
  await apply(other, "b");
  const lock = join(other.path, "run/models/lock");
  mkdirSync(lock, { recursive: true });
  // A real process, this one: its start as the kernel has it.
  const stat = readFileSync(`/proc/${process.pid}/stat`, "utf8");
  const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  writeFileSync(join(lock, "holder"), `pid=${process.pid}\nstart=${start}\n`);
  const busy = await store(one, "prune");
  expect(busy.code).toBe(75);
  expect(busy.stderr).toContain(`models are being fetched on this host right now, for ${other.path}`);
  expect(inStore()).toBe("ab");
  rmSync(lock, { recursive: true });
  expect((await store(one, "prune")).code).toBe(0);
  expect(inStore()).toBe("b");
});

it("a purge leaves what another workspace uses, and takes everything once that is gone", async () => {
  for (const workspace of [one, other]) await workspace.run("00-workspace.sh", "apply", {});
  await apply(one, "a", "b");
  await apply(other, "b");
  mkdirSync(join(one.cache, "uv"), { recursive: true });
  installed(one, "1");
  installed(other, "2");
  compile("1", "2");
  const purge = async (workspace: Workspace) => {
    await workspace.run("60-models.sh", "remove", {});
    writeFileSync(join(workspace.path, "run/purge"), "");
    return workspace.run("00-workspace.sh", "remove", {});
  };
  const first = await purge(one);
  expect(first.code, first.stderr).toBe(0);
  expect(first.stderr).toContain(
    `the cache is another workspace's too (${other.path}): only models that it does not name go`,
  );
  expect(inStore()).toBe("b");
  expect(compiled()).toEqual(["2".repeat(16)]);
  expect(existsSync(join(one.cache, "uv"))).toBe(true);
  expect((await purge(other)).code).toBe(0);
  expect(existsSync(one.cache)).toBe(false);
});

it("a changed catalog moves links, not bytes; a workspace whose disk refuses hard links gets symlinks", async () => {
  await apply(one, "a");
  const asked = server.asked.length;
  const moved = await one.run("60-models.sh", "apply", {
    models: [[...line("a").slice(0, 2), "VAE", "renamed.safetensors", ...line("a").slice(4)]],
  });
  expect(moved.code, moved.stderr).toBe(0);
  expect(moved.facts).toMatchObject({
    fetchedBytes: 0,
    items: [{ name: "a", kind: "model", bytes: files.a?.length, source: "cache", cached: true }],
  });
  expect(server.asked.length).toBe(asked);
  expect(existsSync(join(one.path, "data/models/Stable-diffusion/a.safetensors"))).toBe(false);
  expect(existsSync(join(one.path, "data/models/VAE/renamed.safetensors"))).toBe(true);
  const refuses = other.commands({
    ln: '#!/bin/sh\ncase $1 in -*) exec /bin/ln "$@" ;; esac\nexit 1\n',
    cp: '#!/bin/sh\ncase "$*" in *--reflink*) exit 1 ;; esac\nexec /bin/cp "$@"\n',
  });
  const linked = await other.run("60-models.sh", "apply", { models: [line("a")] }, { path: [refuses] });
  expect(linked.code, linked.stderr).toBe(0);
  expect(lstatSync(join(other.path, "data/models/Stable-diffusion/a.safetensors")).isSymbolicLink()).toBe(true);
  // Only the claim speaks for a symlinked file.
  await one.run("60-models.sh", "remove", {});
  expect((await store(one, "prune")).json).toEqual({ removed: [] });
});

it("verify reads every byte: a damaged file is set aside, each stack that uses it drifts, and the next apply mends it", async () => {
  await apply(one, "a", "b");
  await apply(other, "a");
  const path = join(one.cache, "sha256", sha("a"));
  const list = await store(one, "list");
  expect(list.json.store).toHaveLength(2);
  const listed = list.json.store.find(({ sha256 }: { sha256: string }) => sha256 === sha("a"));
  expect(listed).toMatchObject({ bytes: files.a?.length, verified: true });
  expect(listed.usedBy.sort()).toEqual([one.path, other.path].sort());
  const times = statSync(path);
  writeFileSync(path, Buffer.alloc(files.a?.length ?? 0));
  // Even with its times kept, as a failing disk would.
  utimesSync(path, times.atime, times.mtime);
  const { json, stderr } = await store(one, "verify");
  expect(json.store.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([
    { sha256: sha("a"), bytes: files.a?.length, ok: false },
  ]);
  expect(stderr).toContain(`store: reading ${sha("a")}`);
  for (const [workspace, names] of [
    [one, ["a", "b"]],
    [other, ["a"]],
  ] as const) {
    const models = names.map((name) => line(name));
    expect((await workspace.run("60-models.sh", "check", { models })).stderr).toContain("was found damaged");
    expect((await workspace.run("60-models.sh", "apply", { models })).code).toBe(0);
    expect((await workspace.run("60-models.sh", "check", { models })).code).toBe(0);
  }
});

it("a model without a sha256 tells what came, for the next host", async () => {
  const { code, stderr, facts } = await one.run("60-models.sh", "apply", { models: [line("a", false), line("b")] });
  expect(code, stderr).toBe(0);
  expect(facts.recorded).toEqual({
    a: {
      file: "a.safetensors",
      bytes: files.a?.length,
      sha256: sha("a"),
      source: server.base.replace("http://", "").replace("/", ""),
    },
  });
  expect(facts.items).toMatchObject([{ name: "a", cached: false }, { name: "b" }]);
});

it("tells a file of more than 4 GiB to the byte: some hosts' awk counts to 2 GiB alone", async () => {
  const size = 5_000_000_001;
  // Only its form is looked at where the store has noted that its content was read.
  const header = JSON.stringify({ t: { dtype: "U8", shape: [size], data_offsets: [0, size] } });
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(header.length));
  const file = join(one.cache, "sha256", "a".repeat(64));
  mkdirSync(join(one.cache, "sha256"), { recursive: true });
  writeFileSync(file, Buffer.concat([head, Buffer.from(header)]));
  const whole = size + 8 + header.length;
  truncateSync(file, whole);
  writeFileSync(`${file}.ok`, `${whole} ${statSync(file, { bigint: true }).mtimeNs}`);
  mkdirSync(join(one.cache, "fetch"), { recursive: true });
  // Recorded at its first download.
  const urls = `${server.base}a`;
  const key = createHash("sha256").update(`a.safetensors\n${urls}`).digest("hex").slice(0, 32);
  writeFileSync(join(one.cache, "fetch", `url-${key}.seen`), "a".repeat(64));
  const { code, stderr, facts } = await one.run("60-models.sh", "apply", {
    models: [["a", "checkpoint", "Stable-diffusion", "a.safetensors", "-", "-", urls]],
  });
  expect(code, stderr).toBe(0);
  expect(facts).toMatchObject({
    bytes: whole,
    items: [{ name: "a", bytes: whole, cached: true }],
    recorded: { a: { bytes: whole } },
  });
});

it("a broken file of the right sha256 is not shown to the WebUI", async () => {
  // The catalog itself may be wrong: the hash of a torn file.
  const torn = (files.a as Buffer).subarray(0, 30_000);
  const hash = createHash("sha256").update(torn).digest("hex");
  const folder = join(one.cache, "sha256");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, hash), torn);
  const { code, stderr } = await one.run("60-models.sh", "apply", {
    models: [["a", "checkpoint", "Stable-diffusion", "a.safetensors", torn.length, hash, `${server.base}a`]],
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/a\.safetensors: it has 30000 bytes; its safetensors header wants \d+/);
  expect(readdirSync(join(one.path)).includes("data")).toBe(false);
});

it("marks a file as whole from several threads at once: models of the same bytes end side by side", () => {
  const mark = join(one.path, "mark");
  const code = `import sys, threading
sys.path.insert(0, sys.argv[1])
import fetch_files
store = next(kind for kind in vars(fetch_files).values() if hasattr(kind, "_write"))
errors = []
def write():
    for _ in range(300):
        try:
            store._write(sys.argv[2], "whole")
        except OSError as error:
            errors.append(str(error))
threads = [threading.Thread(target=write) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(errors[:1], open(sys.argv[2]).read())`;
  const said = execFileSync("python3", ["-c", code, resolve(import.meta.dirname, "../../scripts/host"), mark]);
  expect(said.toString()).toBe("[] whole\n");
  expect(readdirSync(one.path).filter((name) => name.startsWith("mark"))).toEqual(["mark"]);
});
