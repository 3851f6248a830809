import type { Contender } from "../contenders.ts";
import type { Result } from "../result.ts";

/** Something that the engines are measured at. */
export interface Scenario {
  name: string;
  /** A line for the help. */
  says: string;
  /**
   * Measures every contender that can take part, turn by turn.
   * @param runs how often
   * @param tell called with each figure as soon as it is there
   * @returns a table and what goes with it, as Markdown
   */
  run(contenders: Contender[], runs: number, tell: (result: Result) => void): Promise<string>;
}
