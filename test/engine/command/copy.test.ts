import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hashAsset } from "../../../engine/src/assets.ts";
import { Archive, Asset, type PropertyMap } from "../../../engine/src/values.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const COPY = "command:remote:CopyToRemote";

describe.skipIf(noSshd)(`remote.CopyToRemote${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let harness: Harness;
  let remote: string;
  let count = 0;
  beforeAll(async () => {
    server = await startSshd();
    mkdirSync(join(server.dir, "src/sub"), { recursive: true });
    writeFileSync(join(server.dir, "note.txt"), "note");
    writeFileSync(join(server.dir, "empty"), "");
    writeFileSync(join(server.dir, "big"), Buffer.alloc(3_000_000, "0123456789"));
    writeFileSync(join(server.dir, "src/run.sh"), "run");
    chmodSync(join(server.dir, "src/run.sh"), 0o755);
    writeFileSync(join(server.dir, "src/sub/deep"), "deep");
    symlinkSync(join(server.dir, "note.txt"), join(server.dir, "src/link"));
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    harness = await startHarness(server.dir);
    remote = join(server.dir, `remote${count++}`);
  });
  afterEach(() => harness.provider.close());

  const inputs = (source: Asset | Archive, remotePath = remote): PropertyMap => ({
    connection: connectionTo(server),
    source,
    remotePath,
  });
  const copy = (source: Asset | Archive, remotePath?: string) => harness.create(COPY, inputs(source, remotePath));
  const read = (path: string) => readFileSync(join(remote, path), "utf8");

  it("fails where the target can't be", async () => {
    writeFileSync(remote, "a file");
    const folder = await failure(copy(new Archive({ path: "src" })));
    expect(folder.message).toContain(`${remote}`);
    const text = await failure(copy(new Asset({ text: "t" }), server.dir));
    expect(text.message).toContain("is a directory; when using a text asset, remotePath must be a file path");
    const missing = await failure(copy(new Asset({ path: "not-there" })));
    expect(missing.message).toContain("not-there");
    expect(readFileSync(remote, "utf8")).toBe("a file");
  });

  it("copies a file, making the folders above it, and gives inputs and an id of 8 hex digits", async () => {
    const source = new Asset({ path: "note.txt" }, "hash");
    const { id, outputs } = await copy(source, join(remote, "a/b/n"));
    expect(id).toMatch(/^[0-9a-f]{8}$/);
    expect(outputs.source).toBe(source);
    expect(read("a/b/n")).toBe("note");
  });

  it("copies a file into a folder that is there, over a file that is there, and an empty or a big one", async () => {
    mkdirSync(remote);
    await copy(new Asset({ path: "note.txt" }));
    expect(read("note.txt")).toBe("note");
    writeFileSync(join(remote, "old"), "much longer than the new one");
    await copy(new Asset({ path: "note.txt" }), join(remote, "old"));
    expect(read("old")).toBe("note");
    await copy(new Asset({ path: "empty" }));
    expect(read("empty")).toBe("");
    await copy(new Asset({ path: "big" }));
    expect(readFileSync(join(remote, "big")).equals(readFileSync(join(server.dir, "big")))).toBe(true);
  });

  it("copies a text", async () => {
    await copy(new Asset({ text: "grüße\n" }), join(remote, "deep/er"));
    expect(read("deep/er")).toBe("grüße\n");
  });

  it("copies a folder into the target, or its content where it ends in a slash", async () => {
    await copy(new Archive({ path: "./src" }));
    expect([read("src/run.sh"), read("src/sub/deep")]).toEqual(["run", "deep"]);
    await copy(new Archive({ path: "./src/" }));
    expect([read("run.sh"), read("sub/deep")]).toEqual(["run", "deep"]);
  });

  it("follows links and gives the default mode, as the official provider does", async () => {
    await copy(new Archive({ path: "src/" }));
    expect(read("link")).toBe("note");
    expect(statSync(join(remote, "run.sh")).mode & 0o111).toBe(0);
  });

  it("copies again when content or target changed, and not for another connection", async () => {
    const { outputs } = await copy(new Asset({ path: "note.txt" }, "1"), join(remote, "n"));
    writeFileSync(join(remote, "n"), "touched");
    await harness.update(COPY, outputs, {
      ...inputs(new Asset({ path: "note.txt" }, "1"), join(remote, "n")),
      triggers: [1],
    });
    expect(read("n")).toBe("touched");
    await harness.update(COPY, outputs, inputs(new Asset({ path: "note.txt" }, "2"), join(remote, "n")));
    expect(read("n")).toBe("note");
  });

  it("copies nothing in a preview, and leaves the copy on the host when it is deleted", async () => {
    await harness.create(COPY, inputs(new Asset({ path: "note.txt" })), { preview: true });
    expect(existsSync(remote)).toBe(false);
    const { outputs } = await copy(new Asset({ path: "note.txt" }));
    await harness.delete(COPY, outputs);
    expect(existsSync(remote)).toBe(true);
  });

  it("copies a packed archive as the file that it is", async () => {
    execFileSync("tar", ["-C", server.dir, "-czf", join(server.dir, "src.tgz"), "src"]);
    await copy(new Archive({ path: "src.tgz" }), join(remote, "deep/src.tgz"));
    expect(readFileSync(join(remote, "deep/src.tgz")).equals(readFileSync(join(server.dir, "src.tgz")))).toBe(true);
  });

  it("copies an archive of assets as a folder, and nothing out of it", async () => {
    const assets = {
      "a.txt": new Asset({ text: "a" }),
      "sub/note": new Asset({ path: "note.txt" }),
      folder: new Archive({ path: "src" }),
    };
    await copy(new Archive({ assets }));
    expect([read("a.txt"), read("sub/note"), read("folder/run.sh"), read("folder/sub/deep")]).toEqual([
      "a",
      "note",
      "run",
      "deep",
    ]);
    const error = await failure(copy(new Archive({ assets: { "../outside": new Asset({ text: "x" }) } })));
    expect(error.message).toContain('"../outside" would not lie below');
    expect(existsSync(join(server.dir, "outside"))).toBe(false);
  });

  it("copies what a URL answers, not what it answers later, and says when it does not", async () => {
    let content = "from a URL";
    const web = createServer((request, response) => {
      response.statusCode = request.url === "/files/a%20b.bin" ? 200 : 404;
      response.end(content);
    });
    await new Promise<void>((done) => web.listen(0, "127.0.0.1", done));
    const base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    try {
      const asset = await hashAsset(new Asset({ uri: `${base}/files/a%20b.bin` }), server.dir);
      await copy(asset, join(remote, "new/name"));
      mkdirSync(join(remote, "there"));
      await copy(asset, join(remote, "there"));
      expect([read("new/name"), read("there/a b.bin")]).toEqual(["from a URL", "from a URL"]);
      await copy(new Asset({ uri: pathToFileURL(join(server.dir, "note.txt")).href }), join(remote, "note"));
      expect(read("note")).toBe("note");
      content = "changed meanwhile";
      expect((await failure(copy(asset, join(remote, "late")))).message).toContain(
        "answers otherwise than when this update began",
      );
      expect(existsSync(join(remote, "late"))).toBe(false);
      expect((await failure(copy(new Asset({ uri: `${base}/gone` })))).message).toContain(
        `GET ${base}/gone answered 404`,
      );
    } finally {
      web.close();
    }
  });

  it("says what is wrong on a server that answers SFTP with something else", async () => {
    const forced = await startSshd({ config: ["ForceCommand echo forced"] });
    const inputs = { connection: connectionTo(forced), source: new Asset({ text: "x" }), remotePath: "/tmp/x" };
    const error = await failure(harness.create(COPY, inputs));
    await forced.stop();
    expect(error.message).toMatch(/something else where SFTP was asked for.*ForceCommand/);
  });

  it("says what is missing on a server without SFTP", async () => {
    const bare = await startSshd({ config: ["Subsystem sftp /no/such/sftp-server"] });
    const error = await failure(
      harness.create(COPY, { ...inputs(new Asset({ path: "note.txt" })), connection: connectionTo(bare) }),
    );
    await bare.stop();
    expect(error.message).toContain("offers no SFTP");
  });
});
