/** Questions in a row that a server may leave without any answer. */
const patience = 3;

/**
 * Asks servers many questions. One that says nothing to a few in a row is not asked again: each question would wait for it anew.
 */
export class Servers {
  readonly #silent = new Map<string, { times: number; why: unknown }>();

  /**
   * @param isSilence tells an error that came of no answer from one that is an answer
   * @throws what `question` throws, also where it is not asked any more
   */
  async ask<T>(server: string, question: () => Promise<T>, isSilence: (error: unknown) => boolean): Promise<T> {
    const before = this.#silent.get(server);
    if (before && before.times >= patience) throw before.why;
    try {
      const answer = await question();
      this.#silent.delete(server);
      return answer;
    } catch (error) {
      if (isSilence(error)) this.#silent.set(server, { times: (this.#silent.get(server)?.times ?? 0) + 1, why: error });
      else this.#silent.delete(server);
      throw error;
    }
  }
}

/** A request of ours that had no answer in its time. */
export const isTimeout = (error: unknown): boolean => (error as Error).name === "TimeoutError";
