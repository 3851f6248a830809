import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Workspace } from "./lib/workspace.ts";

/** Says how it would fetch: the proxy, and which hosts go without. */
const step = `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_apply() { fact proxy "\${https_proxy:-}"; fact direct "$no_proxy"; fact ca "\${SSL_CERT_FILE:-}"; }
step_check() { :; }
step_remove() { :; }
run_step "$@"
`;
const inputs = {
  git: ["https://gitclone.com/github.com/", "https://ghfast.top/https://github.com/", "https://github.com/"],
  models: [["a", "checkpoint", "x", "a.safetensors", "-", "-", "https://hf-mirror.com/a https://huggingface.co/a"]],
};

describe("a platform's accelerator", () => {
  let workspace: Workspace;
  let proxy: Server;
  let address: string;
  beforeEach(async () => {
    workspace = new Workspace();
    workspace.script("41-fetch.sh", step);
    proxy = createServer((_, answer) => answer.writeHead(400).end());
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    proxy.close();
    workspace.destroy();
  });
  const apply = (accelerator: string) => workspace.run("41-fetch.sh", "apply", { ...inputs, accelerator });

  it("that is gone, sets nothing, or does not answer is left out, with a word", async () => {
    const empty = join(workspace.top, "empty");
    writeFileSync(empty, "exit 3\n");
    const cases = {
      "/no/such/turbo": "is not on this host",
      [empty]: "sets no proxy",
      "http://127.0.0.1:1": "does not answer",
    };
    for (const [accelerator, word] of Object.entries(cases)) {
      const { code, stderr, facts } = await apply(accelerator);
      expect([code, stderr, facts.proxy]).toEqual([0, expect.stringContaining(`${word}; fetching without it`), ""]);
    }
  });

  it("serves GitHub and Hugging Face alone: mirrors are asked directly", async () => {
    const { facts } = await apply(address);
    expect(facts.proxy).toBe(address);
    expect(String(facts.direct).split(",").sort()).toEqual([
      "127.0.0.1",
      "127.0.0.1",
      "::1",
      "ghfast.top",
      "gitclone.com",
      "hf-mirror.com",
      "localhost",
    ]);
  });

  it("may be a script of the platform's, with a certificate of its own; it can't end the step", async () => {
    const script = join(workspace.top, "network_turbo");
    const ca = join(workspace.top, "ca.pem");
    writeFileSync(ca, "");
    writeFileSync(script, `export https_proxy=${address} SSL_CERT_FILE=${ca}\necho welcome\nfalse\n`);
    const { code, stdout, facts } = await apply(script);
    expect([code, facts.proxy, facts.ca]).toEqual([0, address, ca]);
    expect(stdout).not.toContain("welcome");
  });
});
