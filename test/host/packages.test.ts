import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => workspace.destroy());

const state = (name: string) => join(workspace.top, name);
/** An apt-get that answers from a script; it writes its arguments down, and `brings` the command that is missing. */
function fakeApt(body: string): string {
  return workspace.commands({ "apt-get": `#!/bin/sh\necho "$@" >>'${state("calls")}'\n${body}\n` });
}
const brings = (path: string) =>
  `case "$*" in *install*) printf '#!/bin/sh\\n' >'${path}/frobnicate'; chmod 755 '${path}/frobnicate';; esac`;
const apply = (inputs: Inputs, path: string[]) =>
  workspace.run("20-packages.sh", "apply", { packages: "frobnicate sed", install: "yes", ...inputs }, { path });

describe("packages", () => {
  it("missing, and not allowed to be installed: one error with all of them and the command", async () => {
    const { code, stderr } = await apply({ packages: "frobnicate libGL.so.99 sed", install: "no" }, [
      fakeApt("exit 1"),
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "missing on the host: frobnicate libGL.so.99; not installed: the settings do not allow it",
    );
    expect(stderr).toContain("apt-get install frobnicate libGL.so.99");
    expect(existsSync(state("calls"))).toBe(false);
    const check = await workspace.run("20-packages.sh", "check", { packages: "frobnicate" });
    expect(check.code).toBe(10);
  });

  it("that are all there cost nothing: apt is not called", async () => {
    const { code, facts } = await apply({ packages: "sed sh nosuch?", install: "no" }, [fakeApt("exit 1")]);
    expect([code, facts.installed]).toEqual([0, []]);
    expect(existsSync(state("calls"))).toBe(false);
    expect((await workspace.run("20-packages.sh", "check", { packages: "sed sh" })).code).toBe(0);
  });

  it("wait for another's lock, with a word that names it, and then go on", async () => {
    const path = workspace.commands({});
    const apt = fakeApt(
      `if [ ! -f '${state("free")}' ]; then echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)" >&2; echo x >>'${state("waits")}'; [ "$(wc -l <'${state("waits")}')" -lt 3 ] || : >'${state("free")}'; exit 100; fi\n${brings(path)}`,
    );
    const { code, stderr, facts } = await apply({}, [apt, path]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("waiting for another apt or dpkg to end (process 4711 (unattended-upgr))");
    expect(facts.installed).toEqual(["frobnicate"]);
  });

  it("give up on a lock after the deadline", async () => {
    const apt = fakeApt(
      'echo "E: Unable to acquire the dpkg frontend lock, is another process using it?" >&2; exit 100',
    );
    const { code, stderr } = await apply({ apt_wait: 2 }, [apt]);
    expect(code).toBe(1);
    expect(stderr).toContain("another apt or dpkg holds its lock");
  });

  it("finish an interrupted dpkg once", async () => {
    const path = workspace.commands({ dpkg: `#!/bin/sh\n: >'${state("mended")}'\n` });
    const apt = fakeApt(
      `[ -f '${state("mended")}' ] || { echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem." >&2; exit 100; }\n${brings(path)}`,
    );
    const { code, stderr } = await apply({}, [apt, path]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("an earlier dpkg was interrupted");
  });

  it("say apt's own words when it fails, and when it succeeds without bringing what was wanted", async () => {
    const failed = await apply({}, [fakeApt('echo "E: Unable to locate package frobnicate" >&2; exit 100')]);
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("Unable to locate package frobnicate")]);
    const hollow = await apply({}, [fakeApt("exit 0")]);
    expect([hollow.code, hollow.stderr]).toEqual([1, expect.stringContaining("still missing: frobnicate")]);
  });

  it("that would only be nice are gone without, with a word", async () => {
    const apt = fakeApt('case "$*" in *install*) echo "E: Unable to locate package" >&2; exit 100;; esac');
    const { code, stderr, facts } = await apply({ packages: "sed frobnicate?" }, [apt]);
    expect([code, facts.installed]).toEqual([0, []]);
    expect(stderr).toContain("frobnicate could not be had; going on without it");
  });

  it("come from the mirror that the settings name, by lists of our own", async () => {
    const path = workspace.commands({});
    const apt = fakeApt(brings(path));
    writeFileSync(state("calls"), "");
    const { code, stderr } = await apply({ apt_mirror: "http://127.0.0.1:9/debian-mirror/" }, [apt, path]);
    expect(code, stderr).toBe(0);
    expect(workspace.file("run/packages/sources.list")).toMatch(
      /^deb http:\/\/127\.0\.0\.1:9\/debian-mirror\/\w+ \w+ main/,
    );
    expect(readFileSync(state("calls"), "utf8")).toContain(
      `Dir::Etc::SourceList=${workspace.path}/run/packages/sources.list`,
    );
  });
});
