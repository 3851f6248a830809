import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
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

  it("says what is missing on a server without SFTP", async () => {
    const bare = await startSshd({ config: ["Subsystem sftp /no/such/sftp-server"] });
    const error = await failure(
      harness.create(COPY, { ...inputs(new Asset({ path: "note.txt" })), connection: connectionTo(bare) }),
    );
    await bare.stop();
    expect(error.message).toContain("offers no SFTP");
  });
});
