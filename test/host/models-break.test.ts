import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { begin, type Handler } from "../helpers/faults.ts";
import { until } from "../helpers/until.ts";
import { Fetcher, type Way } from "./lib/fetch.ts";
import { type FileServer, honest, safetensors, serving } from "./lib/server.ts";
import { collect } from "./lib/workspace.ts";

const content = safetensors(9_500_000);
const sha256 = createHash("sha256").update(content).digest("hex");

const serve = serving();
/** Sends slowly, until it is `open`. */
const slowly =
  (line: { open: boolean }): Handler =>
  (request, response) => {
    if (line.open) return void honest(content)(request, response);
    const [from, end] = begin(request, response, content.length);
    let at = from;
    const timer = setInterval(() => {
      const next = Math.min(at + 16_384, end);
      response.write(content.subarray(at, next));
      at = next;
      if (at < end && !response.destroyed) return;
      clearInterval(timer);
      response.end();
    }, 20);
  };

/** Fetches; `during` sees what is said meanwhile. */
async function fetched(from: FileServer[], during: (said: () => string) => Promise<void>, way: Way = "own") {
  const fetcher = new Fetcher();
  try {
    const urls = from.map(({ base }) => `${base}a`);
    const wanted = { bytes: content.length, sha256, urls };
    const child = fetcher.start(wanted, way, { ATELIER_FETCH_PATIENCE_S: "600" });
    let said = "";
    child.stderr.on("data", (text: Buffer) => {
      said += text;
    });
    const [answer] = await Promise.all([collect(child), during(() => said)]);
    expect(answer.code, answer.stderr).toBe(0);
    expect(
      createHash("sha256")
        .update(readFileSync(join(fetcher.cache, "sha256", sha256)))
        .digest("hex"),
    ).toBe(sha256);
    return answer;
  } finally {
    fetcher.remove();
  }
}

describe("a line that breaks for a while", { concurrent: true }, () => {
  it.each([
    { sources: 1, back: 0 },
    { sources: 2, back: 0 },
    { sources: 2, back: 1 },
  ])(
    "is waited for, and why is said: $sources sources, of which number $back comes back",
    async ({ sources, back }) => {
      const line = { open: false };
      const all = await Promise.all(Array.from({ length: sources }, () => serve(slowly(line))));
      const { stdout } = await fetched(all, async (said) => {
        await until("a part has come", () => /models [1-9]\d* %/.test(said()));
        for (const server of all) server.stop();
        // The fourth failure in a row was the last one.
        await until("it waits for the fifth", () =>
          /waiting for http:\S+: .*Connection refused; again in [45] s/.test(said()),
        );
        line.open = true;
        const one = all[back] as FileServer;
        await one.start("127.0.0.1", Number(new URL(one.base).port));
      });
      // What had come before the break is kept.
      expect(Number(stdout.trim().split("\t").at(-1))).toBeLessThan(1.05 * content.length);
    },
  );

  it.each([429, 503])("a server that is busy (%i) without saying how long is waited for", async (status) => {
    const line = { open: false };
    const busy = await serve((request, response) => {
      if (line.open) honest(content)(request, response);
      else response.writeHead(status).end();
    });
    const { stderr } = await fetched([busy], async (said) => {
      await until("it waits for the fifth time", () => /: HTTP \d+; again in [45] s/.test(said()));
      line.open = true;
    });
    expect(stderr).toContain(`HTTP ${status}`);
  });
});

const hasAria = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "aria2c")));
describe.each([
  { way: "own", missing: "" },
  { way: "aria2c", missing: hasAria ? "" : "(needs aria2c on PATH)" },
] as const)("by $way $missing", ({ way, missing }) => {
  it.skipIf(missing !== "")("a node that dies is left for the one that its hub names then", async () => {
    const [dies, lives] = [await serve(slowly({ open: false })), await serve(honest(content))];
    let node = dies;
    const hub = await serve((_, response) => response.writeHead(302, { location: `${node.base}a` }).end());
    const { stdout } = await fetched(
      [hub],
      async (said) => {
        await until("a part has come", () => /models [1-9]\d* %/.test(said()));
        node = lives;
        dies.stop();
      },
      way,
    );
    expect(lives.asked.length).toBeGreaterThan(0);
    if (way === "own") expect(Number(stdout.trim().split("\t").at(-1))).toBeLessThan(1.05 * content.length);
  });
});

it("a host that never answered is not waited for so long", async () => {
  const fetcher = new Fetcher();
  try {
    const closed = await serve(honest(content));
    closed.stop();
    const wanted = { bytes: content.length, sha256, urls: [`${closed.base}a`] };
    const { code, stderr } = await fetcher.run(wanted, "own", { ATELIER_FETCH_PATIENCE_S: "64" });
    expect(code).toBe(1);
    // After 0.6 + 1.2 + 2.4 + 4.8 s an eighth of the patience is over; a busy machine needs fewer.
    expect(stderr).toMatch(/Connection refused \([45] tries\)/);
  } finally {
    fetcher.remove();
  }
});
