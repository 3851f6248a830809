import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { decodeCheckpoint } from "../../../engine/src/checkpoint.ts";
import { diffInputs } from "../../../engine/src/providers/command/diff.ts";
import { isToken } from "../../../engine/src/providers/command/schema.ts";
import type { ResourceState } from "../../../engine/src/resource.ts";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { startHarness } from "./harness.ts";

describe("states that the official CLI wrote", () => {
  let commands: ResourceState[];
  beforeAll(async () => {
    const text = readFileSync(new URL("../../golden/pulumi/01-up.json", import.meta.url), "utf8");
    const { snapshot } = await decodeCheckpoint(text, ({ salt }) => PassphraseSecrets.open("correct-horse", salt));
    commands = snapshot.resources.filter((resource) => isToken(resource.type));
  });

  it("hold inputs that Check leaves as they are, and outputs that hold the inputs", async () => {
    expect(commands.map((command) => command.type).sort()).toEqual([
      "command:local:Command",
      "command:remote:Command",
      "command:remote:CopyToRemote",
      "command:remote:CopyToRemote",
    ]);
    const harness = await startHarness(".");
    for (const { type, inputs, outputs } of commands) {
      expect(await harness.check(type, inputs)).toEqual({ inputs, failures: [] });
      expect(diffInputs(inputs, inputs).changes).toBe("none");
      expect(outputs).toMatchObject(inputs);
    }
    await harness.provider.close();
  });
});
