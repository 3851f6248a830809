import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashAssets } from "../../../engine/src/assets.ts";
import { diffInputs } from "../../../engine/src/providers/command/diff.ts";
import { Archive, Asset, type PropertyMap, Secret, Unknown } from "../../../engine/src/values.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { connectionTo, failure, type Harness, startHarness } from "./harness.ts";
import { noPlugin, type Official, startOfficial } from "./official.ts";

const LOCAL = "command:local:Command";
const REMOTE = "command:remote:Command";
const COPY = "command:remote:CopyToRemote";
const reason = noPlugin ?? noSshd;

describe.skipIf(reason)(`the same as the official plugin${reason ? ` (${reason})` : ""}`, () => {
  let server: Sshd;
  let dir: string;
  let ours: Harness;
  let theirs: Official;
  beforeAll(async () => {
    server = await startSshd({ config: ["AcceptEnv A PULUMI_COMMAND_*"] });
    dir = realpathSync(mkdtempSync(join(tmpdir(), "atelier-official-")));
    for (const file of ["a.txt", "b.txt"]) writeFileSync(join(dir, file), file);
    ours = await startHarness(dir);
    theirs = await startOfficial(dir);
  });
  afterAll(async () => {
    await ours?.provider.close();
    await theirs?.stop();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const host = { host: "h" };
  it.each<[string, string, PropertyMap]>([
    ["a local command", LOCAL, { create: "a", environment: { A: new Secret("x") }, triggers: [1, null, { a: 1 }] }],
    ["its empty parts", LOCAL, { create: "", environment: {}, triggers: [], interpreter: [], assetPaths: [] }],
    ["unknowns", LOCAL, { create: Unknown.value, environment: { A: Unknown.value }, stdin: Unknown.value }],
    ["a remote command", REMOTE, { connection: new Secret({ ...host, password: "p", privateKey: new Secret("k") }) }],
    ["one through a proxy", REMOTE, { connection: { ...host, proxy: { ...host, password: "p" } }, logging: "none" }],
    ["given defaults", REMOTE, { connection: { ...host, user: "", port: 1, dialErrorLimit: 0, perDialTimeout: 0 } }],
    ["an unknown connection", REMOTE, { connection: Unknown.value, create: "c" }],
    ["an unknown in the connection", REMOTE, { connection: { host: Unknown.value, password: Unknown.value } }],
    ["a copy", COPY, { connection: host, source: new Asset({ path: "a.txt" }), remotePath: "/r" }],
    ["a copied text", COPY, { connection: host, source: new Asset({ text: "t" }), remotePath: "/r", triggers: ["x"] }],
    ["a copied folder", COPY, { connection: host, source: new Archive({ path: "." }), remotePath: Unknown.value }],
  ])("checks %s", async (_what, type, news) => {
    const hashed = await hashAssets(news, dir);
    expect(await ours.check(type, hashed)).toEqual(await theirs.check(type, hashed));
  });

  it.each<[string, string, PropertyMap]>([
    ["no host", REMOTE, { connection: {} }],
    ["no connection", REMOTE, { create: "c" }],
    ["an unknown word", LOCAL, { crate: "c" }],
    ["a number for a text", LOCAL, { create: 1 }],
    ["a text for a number", REMOTE, { connection: { ...host, port: "22" } }],
    ["a number in the environment", LOCAL, { environment: { A: 1 } }],
  ])("refuses %s", async (_what, type, news) => {
    expect((await theirs.check(type, news)).failures).not.toEqual([]);
    expect((await ours.check(type, news)).failures).not.toEqual([]);
  });

  it.each<[string, PropertyMap, PropertyMap]>([
    ["nothing", { create: "a", triggers: [1] }, { triggers: [1], create: "a" }],
    ["a command", { create: "a" }, { create: "b" }],
    ["a new command", { create: "a" }, { create: "a", delete: "b" }],
    ["a trigger's item", { triggers: [1] }, { triggers: [2] }],
    ["a trigger added", { triggers: [1] }, { triggers: [1, 2] }],
    ["the first triggers", {}, { triggers: [1] }],
    ["no triggers any more", { triggers: [1] }, {}],
    ["a secret of the same text", { stdin: "a" }, { stdin: new Secret("a") }],
    ["a secret", { stdin: new Secret("a") }, { stdin: new Secret("b") }],
    ["an unknown", { create: "a" }, { create: Unknown.value }],
    ["an empty environment", {}, { environment: {} }],
  ])("diffs %s", async (_what, olds, news) => {
    const { changedKeys: _, ...mine } = diffInputs(olds, news);
    expect(mine).toEqual(await theirs.diff(LOCAL, olds, { ...olds, stdout: "", stderr: "" }, news));
  });

  const both = async (type: string, news: PropertyMap, preview = false) => {
    const inputs = (await ours.check(type, await hashAssets(news, dir))).inputs;
    const [mine, other] = [await ours.create(type, inputs, { preview }), await theirs.create(type, inputs, preview)];
    expect(mine.outputs).toEqual(other.outputs);
    if (!preview) expect(mine.id.slice(0, -8)).toBe(other.id.slice(0, -8));
    return { inputs, outputs: other.outputs };
  };

  it.each<[string, PropertyMap]>([
    ["streams", { create: "printf 'a\\n\\n'; echo b >&2", stdin: "x" }],
    ["no command", { delete: "true" }],
    ["secrets in the environment", { create: "echo $A", environment: { A: new Secret("x") } }],
    ["files", { create: "true", assetPaths: ["*.txt", "!b*"], archivePaths: ["**"] }],
    ["files below dir", { create: "pwd", dir: ".", assetPaths: ["*"] }],
  ])("creates a local command with %s", async (_what, news) => {
    await both(LOCAL, news);
    if (!news.assetPaths) await both(LOCAL, news, true);
  });

  it("creates and updates a remote command", async () => {
    const connection = connectionTo(server);
    const { outputs } = await both(REMOTE, {
      connection,
      create: "echo $A; cat",
      environment: { A: "a" },
      stdin: new Secret("s"),
    });
    await both(REMOTE, { connection, create: "true" }, true);
    const inputs = (await ours.check(REMOTE, { connection, create: 'echo "$PULUMI_COMMAND_STDOUT"' })).inputs;
    const mine = await ours.update(REMOTE, outputs, inputs);
    expect(mine).toEqual(await theirs.update(REMOTE, outputs, inputs));
    expect(mine.outputs.stdout).toBe("a\ns");
  });

  it("copies", async () => {
    const remotePath = join(server.dir, "copied");
    await both(COPY, { connection: connectionTo(server), source: new Asset({ path: "a.txt" }), remotePath });
  });

  it.each([
    [LOCAL, "echo out; sleep 0.1; echo err >&2; exit 3"],
    [LOCAL, "kill -TERM $$"],
    [LOCAL, "printf '\"a\\\\b\"\t\\n' é \u0001 😀; false"],
    [REMOTE, "echo out; sleep 0.1; echo err >&2; exit 3"],
    [REMOTE, "kill -KILL $$"],
  ])("fails in the same words: %s %s", async (type, create) => {
    const inputs = (await ours.check(type, type === REMOTE ? { connection: connectionTo(server), create } : { create }))
      .inputs;
    const mine = await failure(ours.create(type, inputs));
    const other = await failure(theirs.create(type, inputs));
    expect(other.message).toContain(mine.message);
  });
});
