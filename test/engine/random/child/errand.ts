import { appendFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { destroy, preview, up } from "../../../../engine/src/index.ts";
import { PROGRAM_KEY } from "../inProcessProgram.ts";
import { Machine } from "../machine.ts";
import { STACK } from "../model.ts";
import type { Registration } from "../registrations.ts";
import { World } from "../world.ts";
import { journalLine } from "./journal.ts";

/** What the child is to do until it is killed: one operation after the other. */
export interface Errand {
  projectDir: string;
  backend: string;
  /** A file that gets a line for each change of the world. */
  journal: string;
  operations: {
    operation: "up" | "preview" | "destroy";
    registrations: Registration[];
    parallel: number;
    seed: number;
  }[];
}

/** Calls that take as long as calls do, so that a kill finds some under way. */
class BusyMachine extends Machine {
  override async wait(most: number): Promise<void> {
    await sleep(most * Math.random());
  }
}

const OPERATIONS = { up, preview, destroy };

export async function runErrand({ projectDir, backend, journal, operations }: Errand): Promise<void> {
  const world = new World();
  world.onChange = (object) => {
    appendFileSync(journal, journalLine(object));
    writeSync(1, "changed\n");
  };
  writeSync(1, "ready\n");
  for (const { operation, registrations, parallel, seed } of operations) {
    await OPERATIONS[operation]({
      projectDir,
      stack: STACK,
      backend,
      passphrase: async () => "correct-horse",
      config: { [PROGRAM_KEY]: JSON.stringify({ registrations }) },
      parallel,
      providers: world.providers(new BusyMachine([], undefined, seed), { calling() {}, unsaid() {} }),
    });
  }
  writeSync(1, "done\n");
}
