import { startSshd } from "../../../test/helpers/sshd.ts";
import { startDelay } from "../../lib/delay.ts";
import { table } from "../../lib/table.ts";
import { COMMANDS, chains } from "../project.ts";
import { once, Results } from "../result.ts";
import { AS_DEBIAN_SHIPS_IT, stopAll } from "../servers.ts";
import type { Scenario } from "./scenario.ts";

const ROUND_TRIP_MS = 50;
const SIZES = [1, 8];

export const lineScenario: Scenario = {
  name: "line",
  says: `the chains over lines of ${ROUND_TRIP_MS} ms of round trip`,
  async run(contenders, runs, tell) {
    const servers = await Promise.all(Array.from({ length: 8 }, () => startSshd({ config: AS_DEBIAN_SHIPS_IT })));
    const lines = await Promise.all(servers.map((server) => startDelay(server.port, ROUND_TRIP_MS / 2)));
    const hosts = servers.map((server, index) => ({ ...server, port: lines[index]?.port ?? 0 }));
    const results = new Results();
    try {
      for (let run = 1; run <= runs; run++) {
        for (const size of SIZES) {
          for (const contender of contenders) {
            for (const result of await once(contender, chains(hosts.slice(0, size)), size, run)) {
              if (result.phase !== "cold") continue;
              results.all.push(result);
              tell(result);
            }
          }
        }
      }
    } finally {
      for (const line of lines) line.stop();
      await stopAll(servers);
    }
    const rows = SIZES.map((size) => {
      const [mine, theirs, plain] = ["embedded", "official", "ssh"].map((name) => results.of(name, size, "cold"));
      if (!mine || !theirs || !plain) return [];
      return [
        String(size),
        ...[mine, theirs, plain].map((items) => results.median(items, "seconds")),
        results.ratio(theirs, mine),
        results.ratio(plain, mine),
      ];
    });
    return `${table(["hosts", "embedded s", "official s", "ssh s", "faster than it", "than ssh"], rows)}

${COMMANDS} chained commands a host, cold. The delay is a relay's: what is sent arrives ${ROUND_TRIP_MS / 2} ms later, each way (TCP's own handshake is not delayed).`;
  },
};
