import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, collect, Workspace } from "./lib/workspace.ts";

const works = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
/** Why no small disk can be mounted here. */
const noMount = works("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
  ? undefined
  : "no disk may be mounted here";
const noExt4 =
  noMount ??
  (works(
    "unshare",
    "-m",
    "sh",
    "-c",
    'set -e; f=$(mktemp); trap "rm -f $f" EXIT; truncate -s 2M $f; mkfs.ext4 -q $f; mount -o loop $f /mnt',
  )
    ? undefined
    : "no ext4 may be mounted here");
const shells = [["dash"], ["bash"], ["busybox", "sh"]].filter((shell) => works("sh", "-c", `command -v ${shell[0]}`));

let workspace: Workspace;
let disk: string;
beforeEach(() => {
  workspace = new Workspace();
  disk = join(workspace.top, "disk");
  mkdirSync(disk);
});
afterEach(() => workspace.destroy());

/** Runs `commands` where `disk` is mounted, and nowhere else; in them `apply <step>` tells its code, `fill` and `free` are what they say. */
function onDisk(mount: string, commands: string, shell = ["sh"]): Promise<Answer> {
  const script = `set -eu
${mount}
mkdir '${disk}/ws'
inputs=$(cat)
apply() { _code=0; printf '%s\\n' "$inputs" | ${shell.join(" ")} "${workspace.bin}/$1" apply || _code=$?; echo "code $_code" >&2; }
fill() { dd if=/dev/zero of='${disk}/fill' bs=1k 2>/dev/null || :; }
free() { rm -f '${disk}/fill'; }
${commands}`;
  const child = spawn("unshare", ["-m", "sh", "-c", script], { stdio: "pipe" });
  child.stdin.end(workspace.stdin({ workspace: join(disk, "ws"), cache: join(disk, "ws/cache"), lock_wait: 60 }));
  return collect(child);
}
const tmpfs = () => `mount -t tmpfs -o size=3m tmpfs '${disk}'`;
const ext4 = () =>
  `truncate -s 4M '${disk}.img'; mkfs.ext4 -q -m 0 '${disk}.img'; mount -o loop '${disk}.img' '${disk}'`;
/** The codes of the applies, and each one's words. */
const told = ({ stderr }: Answer) => stderr.split(/^code /m);
const noRoom = () => new RegExp(`error: \\w+: no room on ${disk} \\(No space left on device\\): make room there`);

describe("a full disk", () => {
  for (const shell of shells) {
    describe.skipIf(noMount)(`under ${shell.join(" ")} (needs a mount)`, () => {
      it("is named by a step, and the next one goes on when there is room", async () => {
        const answer = await onDisk(
          tmpfs(),
          "apply 00-workspace.sh; fill; apply 00-workspace.sh; free; apply 00-workspace.sh",
          shell,
        );
        const [, full, after, end] = told(answer);
        expect(full, answer.stderr).toMatch(/^0\n/);
        expect(full).toMatch(noRoom());
        expect(full).not.toMatch(/waiting|Illegal|number/);
        expect([after?.[0], end], answer.stderr).toEqual(["1", "0\n"]);
        expect(after).not.toContain("waiting");
      });

      it("is named by a job that it became full under, and the next one goes on when there is room", async () => {
        workspace.script(
          "71-fills.sh",
          `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_apply() { [ -e '${disk}/seen' ] || { : >'${disk}/seen' && dd if=/dev/zero of='${disk}/fill' bs=1k 2>/dev/null || :; }; }
run_job "$@"
`,
        );
        const answer = await onDisk(tmpfs(), "apply 71-fills.sh; apply 71-fills.sh; free; apply 71-fills.sh", shell);
        const [first, second, third, end] = told(answer);
        for (const words of [first, second]) {
          expect(words, answer.stderr).toMatch(noRoom());
          expect(words).not.toMatch(/died without an exit code|waiting|Illegal/);
        }
        expect([second?.[0], third?.[0], end], answer.stderr).toEqual(["1", "1", "0\n"]);
      });
    });
  }

  it.skipIf(noExt4)(
    "that has no room for a lock's folder is not taken for a lock that is held (needs a mount)",
    async () => {
      const commands = "apply 00-workspace.sh; fill; apply 00-workspace.sh; free; apply 00-workspace.sh";
      const answer = await onDisk(ext4(), commands);
      const [, full, after, end] = told(answer);
      expect(full, answer.stderr).toMatch(noRoom());
      expect(full).not.toContain("waiting");
      expect([after?.[0], end], answer.stderr).toEqual(["1", "0\n"]);
    },
  );

  it.skipIf(noExt4)("leaves a dead holder's lock, which is no reason to wait either (needs a mount)", async () => {
    const lock = join(disk, "ws/run/workspace/lock");
    const dead = `mkdir -p '${lock}'; printf 'pid=1\\nstart=0\\nsince=now\\nfrom=local\\n' >'${lock}/holder'`;
    const answer = await onDisk(ext4(), `${dead}; fill; apply 00-workspace.sh; free; apply 00-workspace.sh`);
    const [full, after, end] = told(answer);
    expect(full, answer.stderr).toMatch(noRoom());
    expect(after?.[0]).toBe("1");
    expect(end, answer.stderr).toBe("0\n");
  });
});

describe("a lock", () => {
  it("whose holder's file has no name in it is dead after half a minute, as one without such a file", async () => {
    // A clock that goes faster: each look at it is five seconds.
    workspace.script(
      "71-locked.sh",
      `#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nNOW=0\nnow() { NOW=$((NOW + 500)); }\nstep_apply() { :; }\nrun_step "$@"\n`,
    );
    const lock = join(workspace.path, "run/locked/lock");
    mkdirSync(lock, { recursive: true });
    writeFileSync(join(lock, "holder"), "");
    const { code, stderr } = await workspace.run("71-locked.sh", "apply", { lock_wait: 600 });
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining("cleared the lock of a process that has not written its name: it is dead"),
    ]);
  });

  it("that can't be made says why, and does not wait", async () => {
    workspace.script("71-locked.sh", '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { :; }\nrun_step "$@"\n');
    const path = workspace.commands({
      mkdir: `#!/bin/sh\ncase $1 in */lock) echo "mkdir: cannot create directory '$1': Read-only file system" >&2; exit 1 ;; esac\nexec /bin/mkdir "$@"\n`,
    });
    const { code, stderr } = await workspace.run("71-locked.sh", "apply", { lock_wait: 60 }, { path: [path] });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/can't make \S+\/lock.*Read-only file system/)]);
    expect(stderr).not.toContain("waiting");
  });
});
