import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stopHost } from "../../rehearsal/host.ts";
import { noSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";
import { Clone } from "./clone.ts";

/** The rental alone, as the stacks make it. */
const program = `
import { hostOf } from "./rent.ts";
import { readSettings } from "./settings.ts";
const { settings, host } = readSettings();
hostOf(settings.host, host);
`;
const provider = `node ${resolve(import.meta.dirname, "../rent/provider.ts")}`;

describe.skipIf(noSshd)("the bill of a box that `up` rents, against a provider of real SSH servers", () => {
  let clone: Clone;
  let folder: string;
  beforeEach(() => {
    clone = new Clone();
    clone.program(program);
    folder = mkdtempSync(join(tmpdir(), "atelier-rent-"));
    clone.settings("box", {
      host: {
        kind: "ssh",
        platform: "plain",
        rent: { create: `${provider} create`, destroy: `${provider} destroy` },
      },
    });
  });
  afterEach(async () => {
    clone.remove();
    for (const name of readdirSync(folder)) if (name.startsWith("box-")) await stopHost({ dir: join(folder, name) });
    rmSync(folder, { recursive: true, force: true });
  });
  const start = (args: string[], env: Record<string, string> = {}) =>
    clone.start([...args, "--stack", "box"], { env: { FAKE_FOLDER: folder, FAKE_API_KEY: "the-api-key", ...env } });
  const run = (args: string[], env?: Record<string, string>) => start(args, env).finished;
  const bill = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n");

  test("of a rental that was cut off: up and status say that it may run on, and down ends it", async () => {
    const up = start(["up", "--yes", "--skip-preview"], { FAKE_FAULT: "slow" });
    const marker = join(clone.home, "box", "renting.json");
    await until("it has begun to tell", () => existsSync(marker) && readFileSync(marker, "utf8").includes("box-1"));
    up.child.kill("SIGINT");
    await sleep(600);
    up.child.kill("SIGINT");
    const cut = await up.finished;
    expect([cut.code, cut.stdout]).toEqual([
      130,
      expect.stringMatching(/Rental +begun at .* may be billed until npx atelier down --stack box/),
    ]);
    expect((await run(["status"])).stdout).toMatch(/Rental +begun at .* may be billed until/);
    expect(bill()).toEqual(["create box-1 for box"]);

    const down = await run(["down", "--yes"]);
    expect([down.code, down.stdout]).toEqual([0, expect.stringContaining("The rental was ended")]);
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
    const again = await run(["down", "--yes"]);
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("There was nothing to remove.")]);
    expect(again.stdout).not.toContain("rental was ended");
    expect(bill()).toHaveLength(2);
  });

  test("of one whose update fails goes on, which is said; what its platform does not know any more leaves the state", async () => {
    // The program has no WebUI, so that the update's proof fails once the box is rented.
    await run(["up", "--yes", "--skip-preview"]);
    expect(bill()).toEqual(["create box-1 for box"]);
    clone.program(`${program}\nthrow new Error("a mistake");`);
    const failed = await run(["up", "--yes", "--skip-preview"]);
    expect([failed.code, failed.stdout]).toEqual([
      1,
      expect.stringMatching(/Rental +goes on, and is billed until npx atelier down --stack box/),
    ]);
    expect(JSON.parse((await run(["status", "--json"])).stdout).rental).toEqual({ state: "runs" });

    clone.program(program);
    const down = await run(["down", "--yes"], { FAKE_DESTROY: "fail" });
    expect(down.code).toBe(1);
    expect(down.stdout).not.toContain("--host-gone");
    const [, words = ""] =
      /npx atelier (state delete --stack box "\S+") takes it out of the state/.exec(down.stdout) ?? [];
    const [, urn = ""] = /"(\S+)"/.exec(words) ?? [];
    const left = await run(["state", "delete", urn, "--yes"]);
    expect(left.code, `${down.stdout}${left.stderr}`).toBe(0);
    expect((await run(["status"])).stdout).not.toContain("Rental");
  });
});
