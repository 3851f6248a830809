import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopHost } from "../../rehearsal/host.ts";
import { Clone } from "../cli/clone.ts";
import { noSshd } from "../helpers/sshd.ts";

const provider = `node ${join(import.meta.dirname, "provider.ts")}`;

/** A rental, and one command on its box. */
const program = `
import * as command from "@pulumi/command";
import { hostOf } from "./rent.ts";
import { readSettings } from "./settings.ts";
const { settings, host: told } = readSettings();
const { host } = hostOf(settings.host, told);
const { address, port, user, privateKey, hostKey } = host;
const connection = { host: address, port, user, privateKey, hostKey };
const step = new command.remote.Command("step", { connection, create: "echo made", delete: "echo removed" });
export const where = port;
export const said = step.stdout;
`;

describe.skipIf(noSshd)("host.rent, as a resource", () => {
  let clone: Clone;
  let folder: string;
  const settings = (create = `${provider} create`) =>
    clone.settings("box", { host: { kind: "ssh", user: "root", rent: { create, destroy: `${provider} destroy` } } });
  const run = (command: string, env: Record<string, string> = {}) =>
    clone.run([command, "--stack", "box", "--yes"], {
      env: { FAKE_FOLDER: folder, FAKE_API_KEY: "the-api-key", ...env },
    });
  const bill = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n");

  beforeAll(() => {
    clone = new Clone();
    folder = join(clone.dir, "provider");
    mkdirSync(folder);
    clone.program(program);
    settings();
  });
  afterAll(async () => {
    for (const name of readdirSync(folder)) if (name.startsWith("box-")) await stopHost({ dir: join(folder, name) });
    clone?.remove();
  });

  test("a rental that fails half-way fails the update, leaves nothing in the state, and nothing rented", async () => {
    const { code, stdout } = await run("up", { FAKE_FAULT: "half" });
    expect(code).toBe(1);
    expect(stdout).toMatch(/the platform hung up[\s\S]*nothing is rented/);
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
    const status = await run("status");
    expect(status.stdout).not.toContain("step");
  });

  test("a second update, and one with another `create`, keep the box that is there", async () => {
    // The program has no WebUI: the update is done, and the proof says what it lacks.
    expect((await run("up")).stdout).toContain("+ step created");
    expect(bill().slice(2)).toEqual(["create box-2 for box"]);
    const again = await run("up");
    expect(`${again.stdout}${again.stderr}`).toContain("no output `liveCheck`");
    settings(`${provider} create --bigger`);
    expect((await run("up")).stdout).toContain("~ rent updated");
    expect(bill().slice(2)).toEqual(["create box-2 for box"]);
  });

  test("`down` that can't end it says so and keeps it; mended, it ends; the next `up` rents anew", async () => {
    const failed = await run("down", { FAKE_DESTROY: "fail" });
    expect([failed.code, failed.stdout]).toEqual([
      1,
      expect.stringMatching(/the platform says no[\s\S]*may go on and be billed/),
    ]);
    const ended = await run("down");
    expect(ended.code, ended.stdout).toBe(0);
    expect(ended.stdout).toContain("The rental was ended by host.rent.destroy.");
    expect((await run("up")).stdout).toContain("+ step created");
    expect(bill().slice(3)).toEqual(["destroy box-2", "destroy box-2", "create box-3 for box"]);
    expect((await run("down")).code).toBe(0);
  });
});
