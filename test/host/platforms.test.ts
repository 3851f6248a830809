import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { look } from "../../scripts/cli/platform.ts";
import { propose } from "../../stacks/platforms/propose.ts";
import { recognise } from "../../stacks/platforms/seen.ts";
import { platformNames, platforms } from "../../stacks/platforms/table.ts";
import { hostSchema } from "../../stacks/schema/host.ts";
import { noSshd } from "../helpers/sshd.ts";
import { Box, type Shape } from "./lib/box.ts";
import { planted, shapes } from "./lib/shapes.ts";

const fish = ["/usr/bin/fish", "/usr/local/bin/fish"].find(existsSync);

describe.skipIf(noSshd)("a box of each platform, looked at over SSH", () => {
  const box = new Box();
  beforeAll(() => box.start());
  afterAll(() => box.stop());

  async function seen(shape: Shape, port = 8080) {
    box.become(shape);
    const { server } = box;
    const host = hostSchema.parse({ kind: "ssh", address: "127.0.0.1", key: server.privateKey, user: server.user });
    if (host.kind !== "ssh") throw new Error("not an ssh host");
    return look("shapes", host, { address: "127.0.0.1", port: server.port, hostKey: server.hostKey }, port);
  }
  const proposed = async (name: keyof typeof shapes, given: Parameters<typeof propose>[2] = {}, change: Shape = {}) => {
    const facts = await seen({ ...shapes[name], ...change }, given.port);
    const found = recognise(facts);
    expect(found?.name ?? "plain").toBe(name);
    return propose(name, facts, given, "atelier/box");
  };

  it("that does not answer is one clear error", async () => {
    const host = hostSchema.parse({ kind: "ssh", address: "127.0.0.1", password: "x" });
    if (host.kind !== "ssh") throw new Error("not an ssh host");
    await expect(
      look("shapes", host, { address: "127.0.0.1", port: 1, hostKey: box.server.hostKey }, 8080),
    ).rejects.toThrow(/root@127\.0\.0\.1:1 could not be looked at, and nothing was changed: after 2 .*host-gone/s);
  });

  it.each(platformNames)("%s: nothing but names leaves the box", async (name) => {
    const text = JSON.stringify(await seen(shapes[name]));
    for (const secret of planted) expect(text).not.toContain(secret);
  });

  it("AutoDL: the data disk, its port and link, its accelerator", async () => {
    expect(await proposed("autodl")).toEqual({
      host: { workspace: "/root/autodl-tmp/atelier", accelerator: "/etc/network_turbo" },
      webui: { port: 6006, publicUrl: "https://u1-2-3.west.example.com:8443" },
    });
  });

  it("AutoDL, where the session's variables stand in a file alone", async () => {
    const facts = await seen({
      variables: {},
      files: {
        "/init/others/help":
          'echo hi\nexport AutoDLContainerUUID="1"\nexport AutoDLService6006URL="https://a.example.com:8443"\n',
      },
    });
    expect([recognise(facts)?.name, facts.values]).toEqual([
      "autodl",
      { AutoDLService6006URL: "https://a.example.com:8443" },
    ]);
  });

  it("a GPU that the release's torch has no code for: another build, on a platform or a plain box; an older one beside it is enough", async () => {
    expect((await proposed("autodl", {}, { gpus: ["12.0", "12.0"] })).webui.torch).toBe("cu128");
    expect((await proposed("plain", {}, { gpus: ["10.0"] })).webui).toEqual({ torch: "cu128" });
    expect((await proposed("plain", {}, { gpus: ["8.9", "12.0"] })).webui).toEqual({});
    expect((await proposed("plain", { gpu: "none" }, { gpus: ["12.0"] })).webui).toEqual({});
    // One that neither has code for is preflight's to refuse, and so is a driver that says something else.
    expect((await proposed("plain", {}, { gpus: ["13.0"] })).webui).toEqual({});
    expect((await seen({ gpus: ["Field compute_cap is not a valid field to query.", "[N/A]"] })).gpus).toEqual([]);
  });

  it("gpushare: the fast disk; its outer port stands in the console alone, so through a tunnel until that is set", async () => {
    const host = { workspace: "/hy-tmp/atelier", accelerator: "http://turbo.gpushare.com:30000" };
    expect(await proposed("gpushare")).toEqual({ host, webui: { exposure: "tunnel" } });
    expect(await proposed("gpushare", { publicUrl: "http://i-1.gpushare.com:27411" })).toEqual({ host, webui: {} });
    const nas = { ...shapes.gpushare.disks, "/hy-nas": { mount: "/hy-nas", sizeMb: 50_000 } };
    expect((await proposed("gpushare", {}, { disks: nas })).host.cache).toBe("/hy-nas/atelier-cache");
  });

  it("RunPod: the volume, if there is one, and the mapped port", async () => {
    expect(await proposed("runpod")).toEqual({
      host: { workspace: "/workspace/atelier" },
      webui: { publicUrl: "http://203.0.113.5:40080" },
    });
    // A folder of that name on the container's own disk is wiped by a stop.
    const bare = await proposed("runpod", {}, { disks: { "/workspace": { mount: "/", sizeMb: 90_000 } } });
    expect(bare.host.workspace).toBe("/root/atelier");
    expect((await proposed("runpod", { port: 7860 })).webui).toEqual({ exposure: "tunnel" });
  });

  it("vast.ai: its disk, the mapped port, and the script that it runs at each start", async () => {
    expect(await proposed("vast")).toEqual({
      host: { workspace: "/workspace/atelier", startHook: "/root/onstart.sh" },
      webui: { publicUrl: "http://203.0.113.9:31080" },
    });
  });

  it("Matpool and OpenBayes: what survives, where it has room", async () => {
    expect(await proposed("matpool")).toEqual({ host: { workspace: "/root/atelier" }, webui: { exposure: "tunnel" } });
    const paid = await proposed("matpool", {}, { disks: { "/mnt": { mount: "/mnt", sizeMb: 100_000 } } });
    expect(paid.host).toEqual({ workspace: "/root/atelier", cache: "/mnt/atelier-cache" });
    expect(await proposed("openbayes")).toEqual({
      host: { workspace: "/output/atelier" },
      webui: { exposure: "tunnel" },
    });
  });

  it("Featurize and Lambda: the login's home, and the cache where it outlives the box", async () => {
    expect(await proposed("featurize")).toEqual({
      host: { workspace: "/home/featurize/atelier", cache: "/home/featurize/work/atelier-cache" },
      webui: { exposure: "tunnel" },
    });
    expect(await proposed("lambda")).toEqual({
      host: { workspace: "/home/ubuntu/atelier", cache: "/lambda/nfs/mine/atelier-cache" },
      webui: { exposure: "tunnel" },
    });
  });

  it("a plain host: the defaults, and another user's own home", async () => {
    expect(await proposed("plain")).toEqual({ host: {}, webui: {} });
    expect((await proposed("plain", {}, { user: "me" })).host.workspace).toMatch(/\/home\/me\/atelier$/);
  });

  it("finds a workspace of this stack again, wherever it lies, and leaves another stack's alone", async () => {
    const at = (owner: string) => ({
      "/root/atelier/run/owner": `${owner}\n`,
      "/root/atelier/run/preflight/applied": "atelier=1\ncache=/root/elsewhere/cache\n",
    });
    const files = { ...shapes.autodl.files, ...at("atelier/box") };
    expect((await proposed("autodl", {}, { files })).host).toMatchObject({
      workspace: "/root/atelier",
      cache: "/root/elsewhere/cache",
    });
    const others = { ...shapes.autodl.files, ...at("atelier/another") };
    expect((await proposed("autodl", {}, { files: others })).host.workspace).toBe("/root/autodl-tmp/atelier");
  });

  it.skipIf(!fish)("is the same through fish as its login shell (needs fish)", async () => {
    const facts = await seen({ ...shapes.openbayes, runs: fish });
    expect([recognise(facts)?.name, facts.shell]).toEqual(["openbayes", "/usr/bin/fish"]);
  });
});

describe("the table of platforms", () => {
  it("names for each row where it is from, and how sure that is", () => {
    for (const row of Object.values(platforms)) {
      expect(row.source.from.length).toBeGreaterThan(10);
      expect(["documentation", "reports", "hearsay"]).toContain(row.source.sure);
      expect(row.source.seen).toMatch(/^20\d\d-\d\d$/);
    }
  });

  it("proposes for a box that is not rented yet what the table alone can tell", () => {
    expect(propose("runpod", undefined, {}, "atelier/box")).toEqual({
      host: { workspace: "/workspace/atelier" },
      webui: { exposure: "tunnel" },
    });
  });
});
