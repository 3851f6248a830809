import { startSshd } from "../../../test/helpers/sshd.ts";
import { table } from "../../lib/table.ts";
import { COMMANDS, chains } from "../project.ts";
import { once, Results } from "../result.ts";
import { AS_DEBIAN_SHIPS_IT, stopAll } from "../servers.ts";
import type { Scenario } from "./scenario.ts";

const SIZES = [1, 2, 4, 8, 16, 32, 64];
/** Ansible takes minutes for the largest: the ends of the row, once. */
const ANSIBLE_SIZES = [8, 64];

export const fleetScenario: Scenario = {
  name: "fleet",
  says: `${COMMANDS} chained commands on each of up to ${Math.max(...SIZES)} hosts, Ansible beside`,
  async run(contenders, runs, tell) {
    // Each server ends with this process.
    process.setMaxListeners(2 * Math.max(...SIZES));
    const servers = [];
    const results = new Results();
    try {
      for (let made = 0; made < Math.max(...SIZES); made++) {
        servers.push(await startSshd({ config: AS_DEBIAN_SHIPS_IT }));
      }
      for (let run = 1; run <= runs; run++) {
        for (const size of SIZES) {
          for (const contender of contenders) {
            if (contender.name === "ssh") continue;
            if (contender.name === "ansible" && (run > 1 || !ANSIBLE_SIZES.includes(size))) continue;
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
    const rows = SIZES.flatMap((size, index) =>
      (["cold", "no-op"] as const).map((phase) => {
        const half = SIZES[index - 1];
        const [mine, theirs, automation] = ["embedded", "official", "ansible"].map((name) =>
          results.of(name, size, phase),
        );
        if (!mine || !theirs || !automation) return [];
        return [
          String(size),
          phase,
          ...[mine, theirs, automation].map((items) => results.median(items, "seconds")),
          results.ratio(theirs, mine),
          results.ratio(automation, mine),
          ...["embedded", "official"].map((name) =>
            half === undefined ? "-" : results.ratio(results.of(name, size, phase), results.of(name, half, phase)),
          ),
          ...[mine, theirs].map(
            (items) => `${results.processor(items, "programs")} + ${results.processor(items, "servers")}`,
          ),
          results.ratio(theirs, mine, "work"),
          half === undefined ? "-" : results.ratio(mine, results.of("embedded", half, phase), "work"),
          ...[mine, theirs].map((items) => results.median(items, "peakMb")),
        ];
      }),
    );
    return table(
      [
        "hosts",
        "",
        "embedded s",
        "official s",
        "ansible s",
        "faster than official",
        "than ansible",
        "embedded, per doubling",
        "official, per doubling",
        "embedded processor s, own + servers'",
        "official processor s",
        "less work",
        "embedded work per doubling",
        "embedded MB",
        "official MB",
      ],
      rows,
    );
  },
};
