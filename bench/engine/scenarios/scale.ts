import { rmSync } from "node:fs";
import { measure } from "../../lib/measure.ts";
import { table } from "../../lib/table.ts";
import { contenderOf } from "../contenders.ts";
import { groups } from "../project.ts";
import { once, Results } from "../result.ts";
import type { Scenario } from "./scenario.ts";

const SMALL = 1000;
const LARGE = 5000;

export const scaleScenario: Scenario = {
  name: "scale",
  says: `${SMALL} and ${LARGE} resources: components of local commands`,
  async run(contenders, runs, tell) {
    const able = contenders.filter(({ name }) => name === "embedded" || name === "official");
    const results = new Results();
    const keep = (result: (typeof results.all)[number]) => {
      results.all.push(result);
      tell(result);
    };
    for (let run = 1; run <= runs; run++) {
      for (const contender of able) {
        for (const result of await once(contender, groups(SMALL), SMALL, run)) keep(result);
      }
      // One state for all: each engine reads what the other wrote.
      const project = groups(LARGE);
      try {
        const maker = contenderOf(able, "embedded");
        maker.prepare(project);
        keep({ contender: maker.name, size: LARGE, phase: "cold", run, ...(await measure(maker.up(project))) });
        for (const contender of able) {
          keep({
            contender: contender.name,
            size: LARGE,
            phase: "no-op",
            run,
            ...(await measure(contender.up(project))),
          });
        }
      } finally {
        rmSync(project.dir, { recursive: true, force: true });
      }
    }
    const rows = [SMALL, LARGE].flatMap((size) =>
      (["cold", "no-op"] as const).map((phase) => {
        const [mine, theirs] = ["embedded", "official"].map((name) => results.of(name, size, phase));
        if (!mine || !theirs) return [];
        return [
          String(size),
          phase,
          ...[mine, theirs].map((items) => results.median(items, "seconds")),
          results.ratio(theirs, mine),
          phase === "no-op" && size === LARGE ? "2x" : "",
          ...[mine, theirs].map((items) => results.median(items, "peakMb")),
          results.ratio(mine, theirs, "peakMb"),
        ];
      }),
    );
    const growth = (["cold", "no-op"] as const).flatMap((phase) =>
      ["embedded", "official"].flatMap((name) => {
        const [small, large] = [results.of(name, SMALL, phase), results.of(name, LARGE, phase)];
        if (small.length === 0 || large.length === 0) return [];
        return [
          `${name} ${phase}: time ${results.ratio(large, small)}, memory ${results.ratio(large, small, "peakMb")}`,
        ];
      }),
    );
    return `${table(["resources", "", "embedded s", "official s", "faster", "aim", "embedded MB", "official MB", "memory"], rows)}

From ${SMALL} to ${LARGE} resources (5 times as many): ${growth.join("; ")}.
The state of ${LARGE} was made by the embedded engine for both.`;
  },
};
