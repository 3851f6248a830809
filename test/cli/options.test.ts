import { describe, expect, test } from "vitest";
import { UsageError } from "../../scripts/cli/errors.ts";
import { parseOptions, usage } from "../../scripts/cli/options.ts";

describe("wrong usage", () => {
  const wrong: [string[], RegExp][] = [
    [[], /command is missing/],
    [["install"], /`install` is not a command/],
    [["staus"], /`staus` is not a command\. Did you mean `status`\?/],
    [["destroy"], /`destroy` is not a command\. Did you mean `down`\?/],
    [["xyz"], /`xyz` is not a command\.$/],
    [["upp"], /`upp` is not a command\. Did you mean `up`\?/],
    [["up", "-y"], /Unknown option '-y'\. Did you mean --yes\?/],
    [["up", "-p"], /Unknown option '-p'\.$/],
    [["up", "--stakc", "box"], /Unknown option '--stakc'\. Did you mean --stack\?/],
    [["up", "--stak", "box"], /Unknown option '--stak'\. Did you mean --stack\?/],
    [["up", "--frobnicate"], /Unknown option '--frobnicate'\.$/],
    [["up", "mybox"], /more than `up` takes; a stack is named by --stack/],
    [["constructor"], /`constructor` is not a command/],
    [["up", "now"], /`now` is more than `up` takes/],
    [["down", "--force"], /--force belongs to `up`, `preview`, not to `down`|--force belongs to `stack`/],
    [["up", "--stack"], /--stack/],
    [["up", "--json=yes"], /--json/],
    [["preview", "--skip-preview"], /--skip-preview belongs to `up`, not to `preview`/],
    [["up", "--purge"], /--purge belongs to `down`, not to `up`/],
    [["down", "--show-secrets"], /--show-secrets belongs to `outputs`/],
    [["up", "--replace"], /--replace.* argument missing/],
    [["down", "--replace", "urn"], /--replace belongs to `trust`|`up`/],
    [["trust", "--replace", "urn"], /`urn` is more than `trust` takes/],
    [["stack"], /`stack` wants one of export, import, rename, history/],
    [["import", "--protect", "maybe"], /--protect is true or false/],
    [["up", "--engine", "terraform"], /--engine is embedded or pulumi, not `terraform`/],
    [["up", "--stack", "../../etc"], /--stack is a name/],
    [["up", "--stack", ""], /--stack is a name/],
    ...["state", "cache", "passphrase", "State"].flatMap((name): [string[], RegExp][] => [
      [["down", "--stack", name], /--stack is not `\w+`: that is a place of Atelier's own/],
      [["init", "--stack", name, "ssh root@a"], /--stack is not `\w+`: that is a place of Atelier's own/],
    ]),
  ];
  test.each(wrong)("%j", (args, says) => {
    expect(() => parseOptions(args)).toThrow(UsageError);
    expect(() => parseOptions(args)).toThrow(says);
  });
});

describe("options", () => {
  test("the same word is a switch of one command and a list of another", () => {
    expect(parseOptions(["trust", "--replace", "--stack", "box"])).toMatchObject({ replace: true, stack: "box" });
    const up = parseOptions([
      "up",
      "--replace",
      "a",
      "--replace=b",
      "--target",
      "c",
      "--target-dependents",
      "--refresh",
    ]);
    expect(up).toMatchObject({ replaceUrns: ["a", "b"], target: ["c"], targetDependents: true, refresh: true });
    expect(parseOptions(["down"])).toMatchObject({ target: [], exclude: [], replaceUrns: [], replace: false });
    expect(parseOptions(["up", "--force"])).toMatchObject({ forceEdits: true, force: false });
    expect(parseOptions(["stack", "import", "--force"])).toMatchObject({ forceEdits: false, force: true });
  });

  test("an SSH command behind `init` has options of its own, quoted or not", () => {
    const words = ["ssh", "-p", "40722", "-i", "~/.ssh/id", "root@a"];
    for (const own of [words, ["--", ...words]])
      expect(parseOptions(["init", "--stack", "box", "--login", "agent", ...own])).toMatchObject({
        ...{ stack: "box", login: "agent", args: words },
      });
    expect(parseOptions(["init", words.join(" "), "--stack", "box"])).toMatchObject({
      ...{ stack: "box", args: [words.join(" ")] },
    });
  });

  test("defaults", () => {
    expect(parseOptions(["up"])).toMatchObject({
      command: "up",
      stack: "rehearsal",
      engine: undefined,
      json: false,
      yes: false,
      verbose: false,
      purge: false,
      hostGone: false,
      showSecrets: false,
      replace: false,
      help: false,
    });
  });

  test("flags before and after the command, with and without `=`", () => {
    const options = parseOptions(["--stack", "my_box-2", "down", "--engine=pulumi", "--purge", "--host-gone", "--yes"]);
    expect(options).toMatchObject({
      command: "down",
      stack: "my_box-2",
      engine: "pulumi",
      purge: true,
      hostGone: true,
      yes: true,
    });
  });
});

test("the usage of a command has its own flags alone", () => {
  expect(usage("down")).toContain("--host-gone");
  expect(usage("up")).not.toContain("--host-gone");
  expect(usage()).toContain("trust");
});
