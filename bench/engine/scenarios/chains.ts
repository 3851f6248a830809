import { startSshd } from "../../../test/helpers/sshd.ts";
import { table } from "../../lib/table.ts";
import { COMMANDS, chains } from "../project.ts";
import { once, Results } from "../result.ts";
import { AS_DEBIAN_SHIPS_IT, stopAll } from "../servers.ts";
import type { Scenario } from "./scenario.ts";

/** How many times faster than the official engine the embedded one is meant to be. */
const AIMS: Record<string, string> = { "1 cold": "3x", "8 cold": "5x", "1 no-op": "1.8x", "8 no-op": "1.8x" };
const SIZES = [1, 8];

export const chainsScenario: Scenario = {
  name: "chains",
  says: `${COMMANDS} chained remote commands a host, 1 and 8 hosts, and a plain ssh a command`,
  async run(contenders, runs, tell) {
    const servers = await Promise.all(Array.from({ length: 8 }, () => startSshd({ config: AS_DEBIAN_SHIPS_IT })));
    const results = new Results();
    try {
      // Once unmeasured: every contender finds its files in memory, and the compile cache filled.
      for (const contender of contenders) await once(contender, chains(servers.slice(0, 1)), 1, 0);
      for (let run = 1; run <= runs; run++) {
        for (const size of SIZES) {
          for (const contender of contenders) {
            for (const result of await once(contender, chains(servers.slice(0, size)), size, run)) {
              results.all.push(result);
              tell(result);
            }
          }
        }
      }
    } finally {
      await stopAll(servers);
    }
    const rows = SIZES.flatMap((size) =>
      (["cold", "no-op"] as const).map((phase) => {
        const [mine, theirs, plain] = ["embedded", "official", "ssh"].map((name) => results.of(name, size, phase));
        if (!mine || !theirs || !plain) return [];
        return [
          String(size),
          phase,
          ...[mine, theirs, plain].map((items) => results.median(items, "seconds")),
          results.ratio(theirs, mine),
          AIMS[`${size} ${phase}`] ?? "",
          ...[mine, theirs].map((items) => results.median(items, "peakMb")),
          results.ratio(mine, theirs, "peakMb"),
        ];
      }),
    );
    return table(
      ["hosts", "", "embedded s", "official s", "ssh s", "faster", "aim", "embedded MB", "official MB", "memory"],
      rows,
    );
  },
};
