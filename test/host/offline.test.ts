import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
let server: Server | undefined;
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => {
  server?.close();
  server = undefined;
  workspace.destroy();
});

const commit = (letter: string) => letter.repeat(40);
const sha256 = (letter: string) => letter.repeat(64);
const put = (path: string, text = "") => {
  const file = join(workspace.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};
/** As stacks/needs.ts writes them. */
const needs = [
  ["repository pushed", commit("1")],
  ["repository fetched", commit("2")],
  ["repository packed", commit("3")],
  ["repository checked-out", commit("4")],
  ["repository extension", commit("5")],
  ["model m", sha256("a")],
  ["package pytorch-lightning 1.9.4", `pytorch-lightning==1.9.4 ${sha256("b")}`],
  ["package torch 2.1.2+cu121", `torch==2.1.2+cu121 ${sha256("c")} ${sha256("d")}`],
  ["package blendmodes 2022", `blendmodes==2022 ${sha256("e")}`],
  ["package zope-interface 6.0", `zope-interface==6.0 ${sha256("f")}`],
  ["package aiohttp 3.14.5", `aiohttp==3.14.5 ${sha256("0")}`],
  ["package uv 0.13.9", `uv==0.13.9 ${sha256("9")}`],
  ["model n (of unknown sha256)", "n/n.ckpt"],
  ["package supervisor 4.3.0", `supervisor==4.3.0 ${sha256("8")}`, "supervisor"],
];
const preflight = (more: Record<string, string | string[][]> = {}) =>
  workspace.run("10-preflight.sh", "apply", {
    gpu: "none",
    disk_mb: 1,
    owner: "atelier/t",
    offline: "yes",
    manager: "supervisor",
    python: "3.10\n3.11\n3.12\n3.13\n3.14",
    needs,
    ...more,
  });

describe("a host that may fetch nothing", () => {
  it("has what its cache and its workspace have, in every form in which steps leave it there", async () => {
    put(`../cache/git/pushed.git/refs/heads/atelier`, `${commit("1")}\n`);
    put(`../cache/git/fetched.git/refs/atelier/${commit("2")}`, `${commit("2")}\n`);
    put(
      `../cache/git/packed.git/packed-refs`,
      `# pack-refs with: peeled\n${commit("3")} refs/atelier/${commit("3")}\n`,
    );
    put(`src/webui/repositories/x/.git/HEAD`, `${commit("4")}\n`);
    put(`data/extensions/e/.git/HEAD`, "ref: refs/heads/pinned\n");
    put(`data/extensions/e/.git/refs/heads/pinned`, `${commit("5")}\n`);
    put(`../cache/sha256/${sha256("a")}`, "model");
    put("../cache/uv/archive-v0/abc/pytorch_lightning-1.9.4.dist-info/METADATA");
    put("../cache/wheels/torch-2.1.2+cu121-cp310-cp310-linux_x86_64.whl");
    put("../cache/wheels/blendmodes-2022.tar.gz");
    put("venv/lib/python3.10/site-packages/zope.interface-6.0.dist-info/METADATA");
    put("tools/gate/lib/python3.10/site-packages/aiohttp-3.14.5.dist-info/METADATA");
    put("tools/uv.lock", `uv==0.13.9 \\\n    --hash=sha256:${sha256("9")}\n`);
    // Without a sha256 no cache knows a model, and systemd wants no supervisor.
    const known = needs.filter(([name]) => name !== "model n (of unknown sha256)");
    const { code, stderr } = await preflight({ needs: known, manager: "systemd" });
    expect(code, stderr).toBe(0);
  });

  it("is refused with everything that it lacks, and what to do", async () => {
    put(`../cache/sha256/${sha256("a")}`, "model");
    put("tools/supervisor/lib/python3.10/site-packages/supervisor-4.3.0.dist-info/METADATA");
    // Of another version.
    put("../cache/wheels/torch-2.1.2+cu118-cp310-cp310-linux_x86_64.whl");
    const { code, stderr } = await preflight();
    expect(code).toBe(3);
    const others = needs
      .map(([name]) => name)
      .filter((name) => name !== "model m" && name !== "package supervisor 4.3.0");
    expect(stderr).toContain(
      `(${join(workspace.path, "..", "cache")}) has not: ${others.join(", ")}. \`atelier bundle create\``,
    );
  });

  it("asks a served bundle once for the rest", async () => {
    const asked: string[] = [];
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end(
        [commit("1"), commit("2"), commit("3"), commit("4"), sha256("a"), sha256("d"), "n/n.ckpt", ""].join("\n"),
      );
    });
    await new Promise<void>((done) => (server as Server).listen(0, "127.0.0.1", done));
    const bundle = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { code, stderr } = await preflight({ bundle });
    expect(code).toBe(3);
    expect(asked).toEqual(["/contents"]);
    expect(stderr).toMatch(
      /has: repository extension, package pytorch-lightning 1\.9\.4, package blendmodes 2022, .*package uv 0\.13\.9, package supervisor 4\.3\.0\. /,
    );
    expect(stderr).not.toMatch(/package torch|model [mn]|repository pushed/);
  });
});
