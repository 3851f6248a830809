import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asUserError } from "../../scripts/cli/engines/embedded.ts";
import { until } from "../helpers/until.ts";
import { Clone, nowhere } from "./clone.ts";

let clone: Clone;
beforeAll(() => {
  clone = new Clone();
});
afterAll(() => clone.remove());

describe("wrong usage ends with 2, the usage on standard error, and nothing on standard output", () => {
  test.each([["install"], ["down", "--force"], ["up", "--purge"], []].map((args) => [args]))("%j", async (args) => {
    const { code, stdout, stderr } = await clone.run(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    // Of the command alone, where there is one: what is wrong would be far above on a terminal.
    const known = ["up", "down"].find((command) => args[0] === command);
    expect(stderr).toContain(known ? `Usage: atelier ${known} [options]` : "Usage: atelier <command>");
    expect(stderr).not.toContain("    at ");
    expect(stderr.split("\n").length).toBeLessThan(30);
  });
});

test("wrong usage is one JSON document with --json", async () => {
  const { code, stdout } = await clone.run(["up", "--json", "--stak", "box"]);
  expect([code, JSON.parse(stdout)]).toEqual([
    2,
    { command: "up", result: "failed", error: "Unknown option '--stak'. Did you mean --stack?" },
  ]);
});

test("a bundle that is served is one JSON document with --json", async () => {
  const folder = join(clone.dir, "served");
  mkdirSync(folder);
  const parts = ["git", "wheels", "models", "images", "plugins", "files"].map((name) => [name, []]);
  const tokenizer = { repository: "o/r", revision: "x", files: [] };
  const manifest = { form: 1, for: "t", tokenizer, ...Object.fromEntries(parts) };
  writeFileSync(join(folder, "bundle.json"), JSON.stringify(manifest));
  const { child, told, finished } = clone.start(["bundle", "serve", folder, "--json"]);
  await until("it is told", () => told.stderr.includes("Ctrl-C ends it."));
  child.kill("SIGINT");
  const { code, stdout } = await finished;
  const { url, env } = JSON.parse(stdout) as { url: string; env: object };
  expect([code, env]).toEqual([0, { ATELIER_UPSTREAMS: `bundle:${url}`, ATELIER_BUNDLE: folder }]);
});

test.each([[["down", "--help"]], [["down", "-h"]], [["help", "down"]]])("%j ends with 0", async (args) => {
  const { code, stdout } = await clone.run(args);
  expect(code).toBe(0);
  expect(stdout).toContain("--host-gone");
});

test("the version, its engine's and Node's, by each name for it and as JSON", async () => {
  const { version } = JSON.parse(readFileSync(join(clone.dir, "package.json"), "utf8"));
  const said = `Atelier ${version}\nembedded engine ${version}, Pulumi's SDK `;
  for (const args of [["--version"], ["-V"], ["version"], ["up", "--version"]]) {
    const { code, stdout } = await clone.run(args);
    expect([code, stdout]).toEqual([0, expect.stringContaining(said)]);
    expect(stdout).toContain(`Node ${process.versions.node} on ${process.platform}-${process.arch}`);
  }
  const { stdout } = await clone.run(["version", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ version, engine: version, node: process.versions.node });
});

test.skipIf(!existsSync("/dev/full")).each([["--help"], ["status"], ["env"]])(
  "%s on a full disk is no success: what it said is lost",
  async (command) => {
    clone.settings("full", { host: nowhere });
    const start = [process.execPath, join(clone.dir, "scripts", "atelier.mjs"), command, "--stack", "full"];
    const env = { ...process.env, ATELIER_PACKAGES: clone.dir };
    const { status, stderr } = spawnSync("sh", ["-c", '"$@" >/dev/full', "sh", ...start], { env, encoding: "utf8" });
    expect(stderr).toMatch(/^What was done is done, but standard output could not be written: ENOSPC\b.*\n$/);
    expect(status).toBe(1);
  },
);

describe("settings", () => {
  test("a stack without a file names those that are there", async () => {
    const { code, stderr } = await clone.run(["up", "--stack", "nix"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no stack `nix`.*Stacks here: .*rehearsal/);
    expect((await clone.run(["up", "--stack", "rehersal"])).stderr).toContain("Did you mean `rehearsal`?");
  });

  test("a misspelt key is told with the one that was meant, each of them", async () => {
    clone.settings("typos", {
      host: { ...nowhere, adress: "box", keyfile: "x", gpus: "all" },
      webui: { prot: 1, proxy: "http://x", gate: { quue: 1 } },
      models: [{ name: "x", file: "x.ckpt", sources: [{ huggingface: "a", url: "https://b" }] }],
      dify: { model: { provider: "tongyi", apiKeyENV: "A" } },
      gpu: "none",
    });
    const { code, stderr } = await clone.run(["status", "--stack", "typos"]);
    expect(code).toBe(2);
    for (const [wrong, meant] of [
      ["host.adress", "host.address"],
      ["host.keyfile", "host.keyFile"],
      ["webui.prot", "webui.port"],
      ["webui.proxy", "host.proxy or atelier:dify.proxy"],
      ["webui.gate.quue", "webui.gate.queue"],
      ["dify.model.apiKeyENV", "dify.model.apiKeyEnv"],
      ["gpu", "host.gpu"],
    ])
      expect(stderr).toContain(`atelier:${wrong}: not a setting; did you mean atelier:${meant}?`);
    for (const one of ["host.gpus", "models.0.sources.0.url"])
      expect(stderr).toContain(`atelier:${one}: a setting, but not one that goes with the others there`);
  });

  test("every mistake at once, without a stack trace, and one JSON document with --json", async () => {
    clone.settings("wrong", {
      host: { kind: "ssh", address: "box", port: 99999 },
      webui: { port: "x" },
      colour: "red",
    });
    const { code, stdout, stderr } = await clone.run(["up", "--stack", "wrong", "--json"]);
    expect(code).toBe(2);
    for (const key of ["atelier:host.port", "atelier:webui.port", "colour"]) expect(stderr).toContain(key);
    expect(stderr).not.toContain("    at ");
    expect(JSON.parse(stdout)).toMatchObject({ stack: "wrong", result: "failed" });
  });

  test("a key without a namespace is the project's, and of another project's none is ours", async () => {
    const file = join(clone.dir, "stacks", "Pulumi.bare.yaml");
    writeFileSync(
      file,
      JSON.stringify({ config: { "atelier:host": nowhere, webui: { port: "x" }, "other:colour": "red" } }),
    );
    const { code, stderr } = await clone.run(["status", "--stack", "bare"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("atelier:webui.port")]);
    expect(stderr).not.toContain("colour");
    writeFileSync(file, JSON.stringify({ config: { "atelier:host": nowhere, "Atelier:webui": {} } }));
    expect((await clone.run(["status", "--stack", "bare"])).stderr).toContain(
      "Atelier:webui. Did you mean `atelier:`?",
    );
    writeFileSync(file, JSON.stringify({ config: { "atelier:host": nowhere, "atelier.webui": {} } }));
    expect((await clone.run(["status", "--stack", "bare"])).stderr).toContain("atelier.webui");
  });

  test("a full disk is named, and what to do", () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    expect(asUserError(full)).toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^There is no room left for \/.* on this machine .*Make some, and run it again/),
    });
  });

  test("a place for what Atelier makes that can't be written to", async () => {
    clone.settings("plain", { host: nowhere });
    const file = { ATELIER_HOME: join(clone.dir, "package.json", "none") };
    const runs: [string[], NodeJS.ProcessEnv][] = ["status", "preview"].map((name) => [
      [name, "--stack", "plain"],
      file,
    ]);
    // A folder that is there, and in which the system makes none.
    if (existsSync("/proc/self")) runs.push([["up", "--stack", "rehearsal"], { ATELIER_HOME: "/proc/none/within" }]);
    for (const [args, env] of runs) {
      const { code, stderr } = await clone.run(args, { env });
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^\S+ on this machine can't be used: .*ATELIER_HOME=<folder>/),
      ]);
    }
  });

  test("a file that is not YAML", async () => {
    writeFileSync(join(clone.dir, "stacks", "Pulumi.broken.yaml"), "config: [\n");
    const { code, stderr } = await clone.run(["status", "--stack", "broken"]);
    expect(code).toBe(2);
    expect(stderr).toContain("is not YAML");
  });

  test.each([
    ["a tab", "config:\n  atelier:host:\n    kind: ssh\n\tport: 22\n", /is not YAML[\s\S]*Line 4 has a tab/],
    [
      "a wide colon",
      "config:\n  atelier:host:\n    kind：ssh\n    port: 22\n",
      /is not YAML[\s\S]*Line 3 has a wide or curly/,
    ],
    [
      "no space",
      "config:\n  atelier:host:\n    kind: ssh\n    port:22\n",
      /is not YAML[\s\S]*Line 4 has no space behind/,
    ],
    [
      "no indentation",
      "config:\n  atelier:host:\n    kind: ssh\natelier:webui:\n  port: 1\n",
      /outside of `config:`.*: atelier:webui\./,
    ],
    [
      "one setting twice",
      "config:\n  atelier:host:\n    kind: ssh\n  host:\n    kind: local\n",
      /are the same setting/,
    ],
    ["one key twice", "config:\n  atelier:engine: a\n  atelier:engine: b\n", /unique at line 3, [^L]*\^\s*$/],
    [
      "two documents",
      "config:\n  atelier:engine: a\n---\nconfig: {}\n",
      /only one would be read, at line 3[^L]*\^\s*$/,
    ],
    [
      "an alias of itself",
      "config:\n  atelier:models: &a [*a]\n",
      /Pulumi\.broken\.yaml is not YAML: an alias .* inside of what it names/,
    ],
    [
      "too large a number",
      "config:\n  atelier:webui:\n    port: 99999999999999999999\n",
      /webui\.port: .*65535 or less/,
    ],
    ["no `config:`", "atelier:host:\n  kind: ssh\n", /outside of `config:`.*: atelier:host\./],
  ])("a file with %s says so", async (_, text, says) => {
    writeFileSync(join(clone.dir, "stacks", "Pulumi.broken.yaml"), text);
    const { code, stderr } = await clone.run(["status", "--stack", "broken"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(says)]);
  });

  test("merge keys and old numbers are read as both engines read them", async () => {
    const box = "{user: somebody, agent: true, port: 010}";
    const text = `config:\n  common:box: &box ${box}\n  atelier:host:\n    <<: *box\n    kind: ssh\n    address: 127.0.0.1\n`;
    writeFileSync(join(clone.dir, "stacks", "Pulumi.merged.yaml"), text);
    const { stderr } = await clone.run(["trust", "--stack", "merged"]);
    expect(stderr).toContain("127.0.0.1:8");
  });

  test("what only the program sees wrong is wrong usage too", async () => {
    clone.settings("nokey", { host: { ...nowhere, password: undefined, keyFile: "no/such/key" } });
    const { code, stderr, stdout } = await clone.run(["preview", "--stack", "nokey"]);
    expect(`${stderr}${stdout}`).toContain("no/such/key can't be read");
    expect(code).toBe(2);
  });

  test("a key that can't be used is one before the plan, and none for what needs no login", async () => {
    const key = join(clone.dir, "key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-a", "1", "-N", "right", "-f", key]);
    clone.settings("locked", { host: { ...nowhere, password: undefined, keyFile: key } });
    for (const [command = "", ...words] of [
      ["up", "--yes"],
      ["models", "verify"],
      ["upstreams", "--measure"],
    ]) {
      const { code, stderr, stdout } = await clone.run([command, ...words, "--stack", "locked"]);
      expect([command, code, `${stderr}${stdout}`]).toEqual([
        command,
        2,
        expect.stringContaining(`atelier:host.keyFile: ${key} is encrypted; its passphrase: host.keyPassphraseEnv`),
      ]);
      expect(stdout).not.toContain("create");
    }
    for (const args of [["status"], ["down", "--yes"]])
      expect((await clone.run([...args, "--stack", "locked"])).code).toBe(0);
  });
});

describe("a mistake outside of the settings is the user's, and ends with 2", () => {
  test.each<[string, string[], NodeJS.ProcessEnv, RegExp]>([
    [
      "a cut manifest",
      ["bundle", "serve", "cut"],
      {},
      /bundle\.json is not as .* or not whole\. `npx atelier bundle create/,
    ],
    [
      "a file for a folder",
      ["bundle", "create", "/etc/passwd", "--all"],
      {},
      /\/etc\/passwd can't be the bundle's folder/,
    ],
    [
      "no passphrase's file",
      ["env"],
      { PULUMI_CONFIG_PASSPHRASE_FILE: "/no/such/file" },
      /names \/no\/such\/file, and there is no such/,
    ],
    ["a folder for that", ["env"], { PULUMI_CONFIG_PASSPHRASE_FILE: "/etc" }, /passphrase's file \/etc can't be read/],
    ["no profile", ["preview"], { ATELIER_UPSTREAMS: "foo" }, /ATELIER_UPSTREAMS .*got "foo"; accepted: direct/],
  ])("%s", async (_, args, env, says) => {
    clone.settings("fresh", { host: nowhere });
    mkdirSync(join(clone.dir, "cut"), { recursive: true });
    writeFileSync(join(clone.dir, "cut", "bundle.json"), '{"for": ');
    const { code, stdout, stderr } = await clone.run([...args, "--stack", "fresh"], { env });
    expect([code, `${stdout}${stderr}`]).toEqual([2, expect.stringMatching(says)]);
    expect(`${stdout}${stderr}`).not.toMatch(/ {4}at |Atelier itself failed/);
  });
});

describe("a stack that asks", () => {
  test.each(["up", "down", "refresh"])("%s without a terminal wants --yes", async (command) => {
    clone.settings("asks", { host: nowhere });
    const { code, stderr } = await clone.run([command, "--stack", "asks"]);
    expect(stderr).toContain("add --yes");
    expect(code).toBe(2);
  });
});

describe.skipIf(process.platform === "win32")(
  "what an update would begin with and is not there is told before its plan",
  () => {
    test("Docker engines, all of them", async () => {
      const none = (name: string) => ({ docker: { host: `unix://${join(clone.dir, name)}` } });
      const model = { provider: "tongyi", name: "qwen-plus", apiKey: "the-api-key" };
      clone.settings("boxed", { host: { kind: "docker", gpu: "none", ...none("a") }, dify: { model, ...none("b") } });
      const { code, stdout, stderr } = await clone.run(["up", "--yes", "--stack", "boxed"]);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/- atelier:host\.docker: .*\/a: .*ENOENT.* set atelier:host\.docker\.host\.\n/);
      expect(stderr).toMatch(/- atelier:dify\.docker: .*\/b: .*ENOENT.* set atelier:dify\.docker\.host\.\n/);
    });

    test("the commands that rent, as far as they can be told from a shell's own", async () => {
      const preview = async (rent: object) => {
        clone.settings("rented", { host: { kind: "ssh", platform: "plain", rent } });
        return (await clone.run(["preview", "--stack", "rented"])).stderr;
      };
      const told = await preview({ create: "rent-a-box --now", destroy: ["./no-such-thing", "now"] });
      expect(told).toContain("- atelier:host.rent.create: there is no command rent-a-box on this machine");
      expect(told).toContain("- atelier:host.rent.destroy: there is no command ./no-such-thing on this machine");
      const fits = await preview({ create: "A=1 rent-a-box", destroy: "if true; then node end.js; fi" });
      expect(fits).not.toContain("there is no command");
    });
  },
);

describe("before the first update", () => {
  test("outputs says what to do", async () => {
    clone.settings("fresh", { host: nowhere });
    const { code, stderr } = await clone.run(["outputs", "--stack", "fresh"]);
    expect(code).toBe(1);
    expect(stderr).toContain("npx atelier up --stack fresh");
  });

  test("status", async () => {
    clone.settings("fresh", { host: nowhere });
    const { code, stdout } = await clone.run(["status", "--stack", "fresh", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ stack: "fresh", engine: "embedded", resources: 0 });
  });

  test("down has nothing to remove, and speaks of the rental", async () => {
    clone.settings("fresh", { host: nowhere });
    const { code, stdout } = await clone.run(["down", "--stack", "fresh", "--yes"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/nothing to remove[\s\S]*rental goes on/);
  });

  test("down --purge of a rehearsal says that its cache went, once", async () => {
    mkdirSync(join(clone.home, "cache/host/sha256"), { recursive: true });
    const purge = async () => (await clone.run(["down", "--purge"])).stdout;
    expect(await purge()).toBe(`Removed the cache ${join(clone.home, "cache")}.\n`);
    expect(await purge()).toBe("There was nothing to remove.\n");
  });
});

test("env gives a shell what plain pulumi needs, and the passphrase is the owner's alone", async () => {
  clone.settings("plain", { host: nowhere });
  const { code, stdout } = await clone.run(["env", "--stack", "plain"]);
  expect(code).toBe(0);
  const shown = execFileSync(
    "sh",
    [
      "-c",
      'eval "$1"; echo "$PULUMI_STACK $PULUMI_BACKEND_URL"; node --version; cat "$PULUMI_CONFIG_PASSPHRASE_FILE"',
      "sh",
      stdout,
    ],
    {
      encoding: "utf8",
    },
  ).split("\n");
  expect(shown[0]).toBe(`plain file://${clone.home}/state`);
  expect(shown[1]).toBe(process.version);
  expect(shown[2]).toMatch(/^[\w-]{32}$/);
  const passphrase = join(clone.home, "passphrase");
  expect(readFileSync(passphrase, "utf8").trim()).toBe(shown[2]);
  expect(statSync(passphrase).mode & 0o777).toBe(0o600);
});
