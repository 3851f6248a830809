import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { begin as beginOf, type Fault, faults, type Handler, rangeOf, selfSigned } from "../helpers/faults.ts";
import { until } from "../helpers/until.ts";
import { Fetcher, type Way } from "./lib/fetch.ts";
import { honest, safetensors, serving } from "./lib/server.ts";

// Above the length from which aria2c is used, and from which our own way opens several connections.
const content = safetensors(9_500_000);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const wanted = { bytes: content.length, sha256: sha256(content) };
const good = honest(content);

const range = (request: IncomingMessage) => rangeOf(request, content.length);
const begin = (request: IncomingMessage, response: ServerResponse) => beginOf(request, response, content.length);
const status =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    response.writeHead(code, headers).end();

const bad = faults(content, honest(safetensors(9_400_000)), honest(safetensors(9_500_000, 2)));
/** Why our own way leaves each of them. */
const why: Record<Fault, RegExp> = {
  "cuts every answer before its first byte": /it ended early|Connection reset|Connection aborted|Remote end closed/,
  "has a file of another length": /its file has \d+ bytes; wanted: \d+/,
  "has another file of the same length": /its sha256 is [0-9a-f]{64}; wanted: [0-9a-f]{64}|it serves other bytes than/,
  "redirects without end": /it redirects without end \(8 times/,
  "answers with a login page": /a web page instead of the file/,
  "leads to a login page (a captive portal)": /a web page instead of the file/,
  "answers 403": /HTTP 403: it wants a token, or its licence accepted/,
  "answers 404": /HTTP 404/,
  "answers 429 and asks for an hour": /HTTP 429: it asks to come back in 3600 s/,
  "answers 503 and asks for an hour": /HTTP 503: it asks to come back in 3\d\d\d s/,
  "stalls at 0 B/s": /it said nothing for 1 s/,
};
const names = Object.keys(bad) as Fault[];
/** How long a server may be silent: short where one is for good. */
const silence = (name: Fault, seconds: string) => ({
  ATELIER_FETCH_STALL_S: name === "stalls at 0 B/s" ? seconds : "60",
});

const serve = serving();
/** In a cache of its own: these run side by side, most of their time is waiting. */
async function alone<T>(work: (fetcher: Fetcher) => Promise<T>): Promise<T> {
  const own = new Fetcher();
  try {
    return await work(own);
  } finally {
    own.remove();
  }
}
const whole = (fetcher: Fetcher) => {
  expect(fetcher.store()).toEqual([wanted.sha256]);
  expect(sha256(readFileSync(join(fetcher.cache, "sha256", wanted.sha256)))).toBe(wanted.sha256);
};

const tls = selfSigned();
const hasAria = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "aria2c")));
const ways = [
  { way: "own", missing: "" },
  { way: "aria2c", missing: hasAria ? "" : "(needs aria2c on PATH)" },
] as const satisfies { way: Way; missing: string }[];

describe.each(ways)("by $way $missing", ({ way, missing }) => {
  describe("a server that does wrong", { concurrent: true, skip: missing !== "" }, () => {
    it.each(names)("%s: a clear error, and nothing under the final name", (name) =>
      alone(async (fetcher) => {
        const server = await serve(bad[name]);
        const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${server.base}a`] }, way, silence(name, "1"));
        expect(code).toBe(1);
        expect(stderr).toMatch(why[name]);
        expect(stderr).toContain(`error: models: a.safetensors: could not be had. Tried:\n  - ${server.base}a: `);
        expect(fetcher.store()).toEqual([]);
      }),
    );

    it.each(names)("%s: the file comes from the other source", (name) =>
      alone(async (fetcher) => {
        const server = await serve(bad[name]);
        const other = await serve(good);
        const urls = [`${server.base}a`, `${other.base}a`];
        const { code, stderr } = await fetcher.run({ ...wanted, urls }, way, silence(name, "3"));
        expect(code, stderr).toBe(0);
        whole(fetcher);
      }),
    );

    it("ignores ranges: the file comes all the same, also after a cut", () =>
      alone(async (fetcher) => {
        let cut = true;
        const server = await serve((_, response) => {
          response.writeHead(200, { "content-length": content.length });
          if (cut) response.write(content.subarray(0, 5_000_000), () => setTimeout(() => response.destroy(), 30));
          else response.end(content);
          cut = false;
        });
        const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${server.base}a`] }, way);
        expect(code, stderr).toBe(0);
        whole(fetcher);
      }));

    it("is busy for a second: what it says in Retry-After is done", () =>
      alone(async (fetcher) => {
        let refused = 0;
        let first: number | undefined;
        const server = await serve((request, response) => {
          first ??= Date.now();
          if (Date.now() - first >= 900) return good(request, response);
          refused++;
          return status(503, { "retry-after": "1" })(request, response);
        });
        const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${server.base}a`] }, way);
        expect(code, stderr).toBe(0);
        // Each of its connections is told once, and waits.
        expect(refused).toBeGreaterThan(0);
        expect(refused).toBeLessThan(10);
        whole(fetcher);
      }));

    it("cuts at any byte: it goes on there", () =>
      alone(async (fetcher) => {
        const ends = [0, 1, 7, 8, 4_194_303, 4_194_304, 4_194_305, content.length - 1];
        const server = await serve((request, response) => {
          const [from, end] = range(request);
          const cut = ends.find((at) => at >= from && at < end);
          if (cut === undefined) return void good(request, response);
          ends.splice(ends.indexOf(cut), 1);
          begin(request, response);
          response.write(content.subarray(from, cut), () => setTimeout(() => response.destroy(), 10));
          if (cut === from) response.flushHeaders();
        });
        const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${server.base}a`] }, way);
        expect(code, stderr).toBe(0);
        expect(ends).toEqual([]);
        whole(fetcher);
      }));

    it.skipIf(!tls)("has a certificate of an unknown authority (needs openssl)", () =>
      alone(async (fetcher) => {
        const url = `${(await serve(good, { tls })).base}a`;
        const refused = await fetcher.run({ ...wanted, urls: [url] }, way);
        expect(refused.code).toBe(1);
        expect(refused.stderr).toMatch(/its certificate is not trusted \(self.signed certificate\)/);
        expect(fetcher.store()).toEqual([]);
        const other = await serve(good);
        const { code, stderr } = await fetcher.run({ ...wanted, urls: [url, `${other.base}a`] }, way);
        expect(code, stderr).toBe(0);
        whole(fetcher);
      }),
    );
  });
});

describe("our own way", () => {
  let fetcher: Fetcher;
  beforeEach(() => {
    fetcher = new Fetcher();
  });
  afterEach(() => {
    fetcher.remove();
  });

  it("finds the liar among three by what the two others agree on, and fetches only its part again", async () => {
    const liar = await serve(honest(Buffer.from(content).fill(1, 100)));
    const [one, two] = [await serve(good), await serve(good)];
    const { code, stderr, stdout } = await fetcher.run(
      { ...wanted, urls: [liar, one, two].map(({ base }) => `${base}a`) },
      "own",
    );
    expect(code, stderr).toBe(0);
    whole(fetcher);
    expect(stderr).toContain(`${liar.base}a: it serves other bytes than two others, which agree`);
    expect(Number(stdout.trim().split("\t").at(-1))).toBeLessThan(1.9 * content.length);
  });

  it("finds a single wrong byte of one of two sources", async () => {
    const wrong = Buffer.from(content);
    for (let at = 1000; at < wrong.length; at += 1_000_000) wrong[at] = (wrong[at] ?? 0) ^ 1;
    const [liar, other] = [await serve(honest(wrong)), await serve(good)];
    const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${liar.base}a`, `${other.base}a`] }, "own");
    expect(code, stderr).toBe(0);
    whole(fetcher);
  });

  it("leaves nearly all to another source where one crawls", async () => {
    let crawled = 0;
    const crawls = await serve((request, response) => {
      let [at, end] = begin(request, response);
      const crawl = () => {
        if (response.destroyed || at >= end) return clearInterval(timer);
        const next = Math.min(at + 5_000, end);
        response.write(content.subarray(at, next));
        crawled += next - at;
        at = next;
      };
      const timer = setInterval(crawl, 100);
      // The other may have brought it all before the first tenth of a second is over.
      crawl();
    });
    const other = await serve(good);
    const { code, stderr } = await fetcher.run({ ...wanted, urls: [`${crawls.base}a`, `${other.base}a`] }, "own");
    expect(code, stderr).toBe(0);
    whole(fetcher);
    expect(crawled).toBeGreaterThan(0);
    expect(crawled).toBeLessThan(0.2 * content.length);
  });

  it("leaves a source that dies half-way to the others, each byte fetched once", async () => {
    let sent = 0;
    const dies = await serve((request, response) => {
      const [from, end] = range(request);
      if (sent > 2_000_000) return void response.destroy();
      begin(request, response);
      const piece = content.subarray(from, Math.min(end, from + 1_500_000));
      sent += piece.length;
      response.write(piece, () => setTimeout(() => response.destroy(), 30));
    });
    const other = await serve(good);
    const { code, stderr, stdout } = await fetcher.run({ ...wanted, urls: [`${dies.base}a`, `${other.base}a`] }, "own");
    expect(code, stderr).toBe(0);
    whole(fetcher);
    expect(Number(stdout.trim().split("\t").at(-1))).toBeLessThan(1.1 * content.length);
  });

  it("killed at the half, goes on there: at most 2 % come again", async () => {
    const slow = await serve((request, response) => {
      const [from, end] = begin(request, response);
      let at = from;
      const timer = setInterval(() => {
        const next = Math.min(at + 65_536, end);
        response.write(content.subarray(at, next));
        at = next;
        if (at < end && !response.destroyed) return;
        clearInterval(timer);
        response.end();
      }, 10);
    });
    const child = fetcher.start({ ...wanted, urls: [`${slow.base}a`] }, "own");
    const journal = join(fetcher.cache, "fetch", `${wanted.sha256}.json`);
    const had = () => {
      if (!existsSync(journal)) return 0;
      const { have } = JSON.parse(readFileSync(journal, "utf8")) as { have: [number, number][] };
      return have.reduce((sum, [start, end]) => sum + end - start, 0);
    };
    await until("half of it has come, and is written down", () => had() > 0.45 * content.length);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    const kept = had();
    const { code, stderr, stdout } = await fetcher.run({ ...wanted, urls: [`${slow.base}a`] }, "own");
    expect(code, stderr).toBe(0);
    whole(fetcher);
    expect(kept).toBeLessThan(content.length);
    // What the killed process had received and not yet written down is what comes again.
    expect(Number(stdout.trim().split("\t").at(-1)) + kept).toBeLessThan(1.001 * content.length);
  });

  it.skipIf(!tls)("trusts whom the machine trusts: a company's proxy may be among them (needs openssl)", async () => {
    const url = `${(await serve(good, { tls })).base}a`;
    const authorities = join(fetcher.cache, "authorities");
    writeFileSync(authorities, tls?.cert ?? "");
    const { code, stderr } = await fetcher.run({ ...wanted, urls: [url] }, "own", { SSL_CERT_FILE: authorities });
    expect(code, stderr).toBe(0);
    whole(fetcher);
  });

  it("does not take the word of a source that is gone for the length of a file", async () => {
    let asked = 0;
    const other = await serve(good);
    const lies = await serve(async (_, response) => {
      if (asked++ > 0) return void response.writeHead(404).end();
      response.writeHead(200, { "content-length": 12_345_678 });
      response.write(content.subarray(0, 300_000));
      // Its word counts until the other has been heard.
      await until("the other is asked", () => other.asked.length > 0);
      setTimeout(() => response.destroy(), 2000);
    });
    const { code, stderr } = await fetcher.run(
      { sha256: wanted.sha256, urls: [`${lies.base}a`, `${other.base}a`] },
      "own",
    );
    expect(code, stderr).toBe(0);
    whole(fetcher);
    expect(stderr).toMatch(
      /its file has 9500071 bytes; wanted: 12345678|it has no bytes from \d+ on; wanted: a file of 12345678/,
    );
  });

  it("goes through a proxy that wants a login, but not to what no_proxy spares", async () => {
    const login = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    const proxy = await serve((request, response) =>
      request.headers["proxy-authorization"] === login ? good(request, response) : response.writeHead(407).end(),
    );
    const direct = await serve(good);
    const env = { http_proxy: proxy.base.replace("//", "//me:secret@"), no_proxy: "localhost,127.0.0.1" };
    const through = await fetcher.run({ ...wanted, urls: ["http://files.example/a"] }, "own", env);
    expect(through.code, through.stderr).toBe(0);
    expect(proxy.asked[0]?.url).toBe("http://files.example/a");
    whole(fetcher);
    const spared = await fetcher.run({ name: "b.safetensors", urls: [`${direct.base}b`] }, "own", env);
    expect(spared.code, spared.stderr).toBe(0);
    expect(direct.asked[0]?.url).toBe("/b");
  });

  it("asks whether what is known of a file is right, where every source has the same other one; not where they differ", async () => {
    const other = (seed: number) => honest(safetensors(9_500_000, seed));
    for (const [answers, asks] of [
      [[other(2)], true],
      [[other(2), other(2)], true],
      [[honest(safetensors(9_400_000))], true],
      [[other(2), other(3)], false],
    ] as const) {
      const urls = await Promise.all(answers.map(async (answer) => `${(await serve(answer)).base}a`));
      const { code, stderr } = await fetcher.run({ ...wanted, urls }, "own");
      expect(code).toBe(1);
      expect([answers.length, stderr.includes("look whether the model's bytes and sha256 are right")]).toEqual([
        answers.length,
        asks,
      ]);
    }
  });

  it("asks for room before it asks for bytes: by the catalog's length, or by the server's", async () => {
    const server = await serve((_, response) => response.writeHead(200, { "content-length": 1e15 }).write("x"));
    for (const bytes of [1e15, undefined]) {
      const { code, stderr } = await fetcher.run({ bytes, urls: [`${server.base}a`] }, "own");
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /1000000000 MB are still to be fetched and .* has \d+ MB free: free some, or set host\.cache/,
      );
    }
    expect(server.asked).toHaveLength(1);
  });

  it("takes a hub's word on a sha256 that the catalog does not have, and holds the file to it", async () => {
    const lies = await serve(honest(safetensors(50_000, 5)));
    const hub = await serve((_, response) =>
      response.writeHead(302, { location: `${lies.base}f`, "x-linked-etag": `"${wanted.sha256}"` }).end(),
    );
    const { code, stderr } = await fetcher.run({ urls: [`${hub.base}a`] }, "own");
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`its sha256 is [0-9a-f]{64}; wanted: ${wanted.sha256}`));
    expect(fetcher.store()).toEqual([]);
  });
});
