import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
const servers: Server[] = [];
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  workspace.destroy();
});

/** A server that counts what it was asked, and gives `bytes` in steps of 64 KiB, one every `ms`. */
async function upstream(bytes: number, ms = 0): Promise<{ base: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(200, { "content-length": bytes });
    let left = bytes;
    const timer = setInterval(() => {
      const part = Math.min(left, 65_536);
      response.write(Buffer.alloc(part));
      left -= part;
      if (left > 0) return;
      clearInterval(timer);
      response.end();
    }, ms);
    response.once("close", () => clearInterval(timer));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}

const dead = "http://127.0.0.1:1/";
const preflight = (inputs: Inputs) =>
  workspace.run("10-preflight.sh", "apply", { gpu: "none", disk_mb: 1, owner: "atelier/t", ...inputs });

/** What the steps make of a list of addresses. */
function rank(...urls: string[]): string[] {
  const script = 'set -eu; WORKSPACE=$1; . "$WORKSPACE/bin/lib-upstreams.sh"; rank_urls';
  const run = spawnSync("/bin/sh", ["-c", script, "sh", workspace.path], { input: urls.join("\n"), encoding: "utf8" });
  expect(run.stderr).toBe("");
  return run.stdout.trim().split("\n");
}

describe("rank_urls", () => {
  const table = (order: string) => {
    mkdirSync(join(workspace.path, "run"), { recursive: true });
    const rows = [
      ["git", dead, "-", "-", "refused"],
      ["git", "http://slow/", "10", "1000", "HTTP 200"],
      ["git", "http://slow/but/fast/", "90", "90000", "HTTP 200"],
      ["git", "http://quick/", "5", "-", "HTTP 404"],
    ];
    const text = rows.map((row) => `${row.join("\t")}\n`).join("");
    writeFileSync(join(workspace.path, "run", "upstreams"), `# order=${order} key=1 at=now\n${text}`);
  };

  it("keeps the order where nothing was measured", () => {
    expect(rank("b", "a", "c")).toEqual(["b", "a", "c"]);
  });

  it("by rate, for auto; the longest base counts; what was not measured keeps its order; the dead come last", () => {
    table("auto");
    const urls = [`${dead}x`, "http://z/1", "http://quick/x", "http://slow/x", "http://a/2", "http://slow/but/fast/x"];
    expect(rank(...urls)).toEqual([
      "http://slow/but/fast/x",
      "http://slow/x",
      "http://quick/x",
      "http://z/1",
      "http://a/2",
      `${dead}x`,
    ]);
  });

  it("as given, for every other profile, with the dead last", () => {
    table("given");
    expect(rank(`${dead}x`, "http://slow/x", "http://z/1", "http://slow/but/fast/x")).toEqual([
      "http://slow/x",
      "http://z/1",
      "http://slow/but/fast/x",
      `${dead}x`,
    ]);
  });
});

describe("upstreams", () => {
  it("are asked once, at the same time, in 5 s; again only when the setting changed", async () => {
    const [quick, slow, stuck] = [await upstream(400_000), await upstream(400_000, 400), await upstream(1e9, 5000)];
    const upstreams = [slow, stuck, quick].map(({ base }) => ["git", base, `${base}probe`]);
    const inputs = { upstreams: [...upstreams, ["git", dead]], upstreams_order: "auto" };
    const first = await preflight(inputs);
    expect(first.code, first.stderr).toBe(0);
    expect(first.facts.upstreams).toMatchObject({ git: { best: quick.base } });
    expect(rank(dead, slow.base, quick.base)).toEqual([quick.base, slow.base, dead]);
    expect([quick.asked, slow.asked]).toEqual([["/probe"], ["/probe"]]);

    const second = await preflight(inputs);
    expect(second.facts.upstreams).toEqual(first.facts.upstreams);
    expect(quick.asked).toHaveLength(1);

    const third = await preflight({ ...inputs, upstreams_order: "given" });
    expect(third.code, third.stderr).toBe(0);
    expect(quick.asked).toHaveLength(2);
    expect(rank(slow.base, quick.base)).toEqual([slow.base, quick.base]);
  });

  it("of which a whole kind is silent refuse the host, and are asked anew the next time", async () => {
    const inputs = { upstreams: [["git", dead]] };
    const { code, stderr } = await preflight(inputs);
    expect([code, stderr]).toEqual([3, expect.stringMatching(/no upstream of kind git answers: .*127\.0\.0\.1:1/)]);
    const { base } = await upstream(10);
    expect((await preflight({ upstreams: [["git", base]] })).code).toBe(0);
    expect((await preflight(inputs)).code).toBe(3);
  });
});

describe("a stack without upstreams", () => {
  it("is refused a host that has no Python of its own, before anything is spent", async () => {
    const { code, stderr } = await preflight({ offline: "yes", python: ["3.1"], upstreams_order: "given" });
    expect([code, stderr]).toEqual([
      3,
      expect.stringContaining("no Python 3.1 on the host, and this stack has no upstream"),
    ]);
    const pythons = ["3.10", "3.11", "3.12", "3.13", "3.14"];
    const fits = await preflight({ offline: "yes", python: pythons, upstreams_order: "given" });
    expect(fits.code, fits.stderr).toBe(0);
  });
});
