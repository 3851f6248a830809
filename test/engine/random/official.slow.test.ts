import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { Workspace } from "../deploy/workspace.ts";
import { noOfficial, official } from "../interchange/official.ts";
import { changed, EMPTY, type Model, PROJECT, planted, STACK } from "./model.ts";
import { randomness } from "./randomStories.ts";
import { realChange, realEntry, realRegistrations } from "./realProgram.ts";

const program = fc.record({
  entries: fc.array(realEntry, { minLength: 2, maxLength: 7 }),
  fresh: fc.array(realEntry, { minLength: 1, maxLength: 2 }),
  changes: fc.array(realChange, { minLength: 1, maxLength: 5 }),
});

/** Steps as `create urn…`, sorted; a replacement is one, what stays is none, and what goes for the sake of another is told by neither in the same way. Default providers are each engine's own affair. */
function planOf(steps: { op: string; urn: string }[]): string[] {
  const silent = ["same", "create-replacement", "delete-replaced", "remove-pending-replace"];
  return steps
    .filter(({ op, urn }) => !silent.includes(op) && !/::default(_|$)/.test(urn))
    .map(({ op, urn }) => `${op} ${urn}`)
    .sort();
}

function officialPlan(work: Workspace): string[] {
  let text: string;
  try {
    text = official(work, "preview", "--stack", `organization/${PROJECT}/${STACK}`, "--json");
  } catch (error) {
    // What is wrong stands at the end.
    throw new Error(String(error).slice(-2000));
  }
  const { steps } = JSON.parse(text.slice(text.indexOf("{"))) as { steps: { op: string; urn: string }[] };
  return planOf(steps);
}

async function ourPlan(work: Workspace): Promise<string[]> {
  const { events, errors } = await work.run("preview");
  expect(errors).toEqual([]);
  const steps = events.flatMap(({ resourcePreEvent }) => (resourcePreEvent ? [resourcePreEvent.metadata] : []));
  return planOf(steps);
}

const why = noOfficial ? ` (skipped: ${noOfficial})` : "";

describe.skipIf(noOfficial !== undefined)(`slow${why}`, () => {
  test("the official engine would do what ours would, before and after an update", { timeout: 3_600_000 }, async () => {
    const { seed, runs, path } = randomness(0.02, 5);
    console.log(`${runs} programs for both engines, seed ${seed}`);
    const secrets = await PassphraseSecrets.create("correct-horse");
    const property = fc.asyncProperty(program, async ({ entries, fresh, changes }) => {
      const work = new Workspace("random.ts", PROJECT);
      const write = (model: Model): void => {
        const config = { [`${PROJECT}:program`]: JSON.stringify({ registrations: realRegistrations(model) }) };
        work.write(`Pulumi.${STACK}.yaml`, stringify({ encryptionsalt: secrets.salt, config }));
      };
      const before = planted(entries);
      let uid = entries.length;
      const model = changes.reduce(
        (now, one) => changed(now, one, () => ({ ...(fresh[uid % fresh.length] ?? EMPTY), uid: uid++ })),
        before,
      );
      write(before);
      expect((await work.run("up")).errors).toEqual([]);
      write(model);
      expect(await ourPlan(work)).toEqual(officialPlan(work));
      expect((await work.run("up")).errors).toEqual([]);
      expect(officialPlan(work)).toEqual([]);
    });
    await fc.assert(property, { seed, numRuns: runs, path, endOnFailure: true });
  });
});
