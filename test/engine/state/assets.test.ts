import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { archiveFiles, hashArchive, hashAsset, hashAssets, readAsset } from "../../../engine/src/assets.ts";
import { readTar, tarEnd, tarHeader, tarPadding } from "../../../engine/src/tar.ts";
import { Archive, Asset, Secret } from "../../../engine/src/values.ts";
import { GOLDEN } from "./golden.ts";

const GOLDEN_DIR = fileURLToPath(GOLDEN);
/** As the golden states have them. */
const NOTE_HASH = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const DIR_HASH = "f73f87e2432e372d672c59a0e0ec4593a87efb940cdbb0b153e460af237558cd";
const EMPTY_ARCHIVE_HASH = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "engine-assets-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const filesOf = async (archive: Archive, base = dir) => {
  const found: Record<string, string> = {};
  for await (const file of archiveFiles(archive, base)) {
    const content = "content" in file ? file.content : await readAsset(new Asset({ path: file.path }), base);
    expect(content.length).toBe(file.size);
    found[file.name] = content.toString();
  }
  return found;
};
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describe("assets", () => {
  it("that cannot be read say which, and what to do", async () => {
    await expect(hashAsset(new Asset({ path: "missing" }), dir)).rejects.toThrow(/missing cannot be read \(ENOENT\)/);
    await expect(hashAsset(new Asset({ path: "." }), dir)).rejects.toThrow(/is a folder. Use an archive/);
    await expect(readAsset(new Asset({ uri: "ftp://x/y" }), dir)).rejects.toThrow(/ftp:\/\/x\/y is neither/);
  });

  it("have the hashes that the official CLI gives them", async () => {
    expect((await hashAsset(new Asset({ path: "note.txt" }), GOLDEN_DIR)).hash).toBe(NOTE_HASH);
    expect((await hashAsset(new Asset({ text: "hello\n" }), "/")).hash).toBe(NOTE_HASH);
    expect((await hashAsset(new Asset({ uri: new URL("note.txt", GOLDEN).href }), "/")).hash).toBe(NOTE_HASH);
    expect((await hashAsset(new Asset({ text: "hello\n" }, "given"), "/")).hash).toBe("given");
  });

  it("are hashed wherever they stand in the properties, and keep their path as the program wrote it", async () => {
    const map = {
      plain: 1,
      list: [new Asset({ path: "note.txt" })],
      secret: new Secret({ a: new Archive({ path: "./dir" }) }),
    };
    expect(await hashAssets(map, GOLDEN_DIR)).toEqual({
      plain: 1,
      list: [new Asset({ path: "note.txt" }, NOTE_HASH)],
      secret: new Secret({ a: new Archive({ path: "./dir" }, DIR_HASH) }),
    });
    const none = { plain: [1] };
    expect(await hashAssets(none, dir)).toBe(none);
  });

  it("come over HTTP, or say what the server answered", async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === "/note" ? 200 : 404;
      response.end("hello\n");
    }).listen(0, "127.0.0.1");
    try {
      await new Promise((resolve) => server.once("listening", resolve));
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await expect(hashAsset(new Asset({ uri: `${base}/other` }), dir)).rejects.toThrow(/other answered 404/);
      expect((await hashAsset(new Asset({ uri: `${base}/note` }), dir)).hash).toBe(NOTE_HASH);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe("archives", () => {
  it("that cannot be read say which, and what to do", async () => {
    await writeFile(join(dir, "plain.txt"), "x");
    await expect(hashArchive(new Archive({ path: "missing" }), dir)).rejects.toThrow(
      /missing cannot be read \(ENOENT\)/,
    );
    await expect(hashArchive(new Archive({ path: "plain.txt" }), dir)).rejects.toThrow(/neither a folder nor a \.tar/);
    await symlink("nowhere", join(dir, "dangling"));
    await expect(filesOf(new Archive({ path: "." }))).rejects.toThrow(/dangling in an archive's folder cannot be read/);
  });

  it("have the hashes that the official CLI gives them", async () => {
    expect((await hashArchive(new Archive({ path: "./dir" }), GOLDEN_DIR)).hash).toBe(DIR_HASH);
    expect((await hashArchive(new Archive({ assets: {} }), dir)).hash).toBe(EMPTY_ARCHIVE_HASH);
    const same = new Archive({
      assets: { "sub/b": new Asset({ path: "dir/sub/b" }), a: new Asset({ path: "dir/a" }) },
    });
    expect((await hashArchive(same, GOLDEN_DIR)).hash).toBe(DIR_HASH);
    const nested = new Archive({ assets: { a: new Asset({ path: "dir/a" }), sub: new Archive({ path: "dir/sub" }) } });
    expect((await hashArchive(nested, GOLDEN_DIR)).hash).toBe(DIR_HASH);
  });

  it("of a folder hold its files in their order, links as their content, and nothing of Pulumi's own", async () => {
    await mkdir(join(dir, "b/.pulumi"), { recursive: true });
    await mkdir(join(dir, "b.d"));
    await Promise.all([
      writeFile(join(dir, "b/.pulumi/state"), "not this"),
      writeFile(join(dir, "b/one"), "1"),
      writeFile(join(dir, "b.d/two"), "2"),
      writeFile(join(dir, "B"), "3"),
      symlink("B", join(dir, "link")),
      symlink("b.d", join(dir, "folder-link")),
    ]);
    const files = await filesOf(new Archive({ path: "." }));
    expect(Object.entries(files)).toEqual([
      ["B", "3"],
      ["b/one", "1"],
      ["b.d/two", "2"],
      ["link", "3"],
    ]);
  });

  it("packed by others are read, and hashed as the one file that they are", async () => {
    const long = `${"d".repeat(90)}/${"f".repeat(120)}.txt`;
    await mkdir(join(dir, "in", "d".repeat(90)), { recursive: true });
    await writeFile(join(dir, "in", long), "long");
    await writeFile(join(dir, "in/ü.txt"), "umlaut".repeat(1000));
    execFileSync("tar", ["-C", "in", "-cf", "x.tar", "."], { cwd: dir });
    execFileSync("tar", ["-C", "in", "-czf", "x.tgz", "--format=pax", "."], { cwd: dir });
    execFileSync("python3", ["-c", "import shutil; shutil.make_archive('x', 'zip', 'in')"], { cwd: dir });
    for (const name of ["x.tar", "x.tgz", "x.zip"]) {
      const archive = new Archive({ path: name });
      expect(await filesOf(archive), name).toEqual({ [long]: "long", "ü.txt": "umlaut".repeat(1000) });
      const bytes = await readAsset(new Asset({ path: name }), dir);
      expect((await hashArchive(archive, dir)).hash).toBe(sha256(bytes));
      const byUri = new Archive({ uri: pathToFileURL(join(dir, name)).href });
      expect((await hashArchive(byUri, dir)).hash).toBe(sha256(bytes));
    }
    await writeFile(join(dir, "cut.zip"), (await readAsset(new Asset({ path: "x.zip" }), dir)).subarray(0, 60));
    await expect(filesOf(new Archive({ path: "cut.zip" }))).rejects.toThrow(/damaged or cut short/);
    await writeFile(join(dir, "cut.tar"), (await readAsset(new Asset({ path: "x.tar" }), dir)).subarray(0, 2100));
    await expect(filesOf(new Archive({ path: "cut.tar" }))).rejects.toThrow(/cut short/);
  });

  // Hashes of what Go's archive/tar wrote for a file "hello" of the same name, mode 0600.
  const byGo: [string, string][] = [
    ["a", "aae7be6f39c5b5f8deaedeea71b980ae06b3f1c252913d37c766ba6d257eb82c"],
    ["sub/b", "f026ccf8daa3c8beb2f66312a600d3a81ccd0686da83efd6cb517eb49939b886"],
    ["d/".repeat(40) + "f".repeat(90), "d54b6d2bb8551a94c8668515042442b1181aeaddff4ee6bc6515abd1ae4a3f3d"],
    ["n".repeat(150), "69d7192607d8a81759a033d1713b9462ef1f05e9728fb4d2ded632800441b9a5"],
    ["grüße/日本.txt", "fbb19f28367fdfdd02550ff655cabdc9486ab2653b65d154d3ecfdfda895b5c6"],
    [`${"é".repeat(80)}/x`, "8bb823c5901eae7d0cc25a1414763346030d13b562c80ca25ffd775619612e28"],
    [`${"p".repeat(160)}/q`, "4fbdd4722789de4896f44170635553acd2fdf7d461e06be405a5ef12b655e1bc"],
    [`${"a".repeat(99)}/${"b".repeat(120)}`, "af73d07097a3dec3801c598997ac66493a18c7a7f3b5c9f45aa6d90cff9105b4"],
    ["s".repeat(100), "d9a1abe83dd924f4de59921a49fdb4c80796b1707341ddedba63246c9e789510"],
    [`${"k".repeat(155)}/${"l".repeat(100)}`, "d0515ba0bd999b39a2130b7cc0b5a810508314ce2992113139878bdbcacb8c87"],
  ];
  it.each(byGo)("are hashed as Go writes the name %s", (name, hash) => {
    const tar = Buffer.concat([tarHeader(name, 5), Buffer.from("hello"), tarPadding(5), tarEnd()]);
    expect(sha256(tar)).toBe(hash);
    expect([...readTar(tar)].map((file) => [file.name, file.content.toString()])).toEqual([[name, "hello"]]);
  });
});
