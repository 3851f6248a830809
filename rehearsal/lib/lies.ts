/** Lies that a stand-in tells on order: each for a number of times, or until told to stop. */
export class Lies<Name extends string> {
  readonly names: readonly Name[];
  #left = new Map<Name, number>();

  constructor(names: readonly Name[]) {
    this.names = names;
  }

  /** @throws when there is no lie of that name */
  order(name: string, times = Number.POSITIVE_INFINITY): void {
    const known = this.names.find((each) => each === name);
    if (!known) throw new Error(`No lie "${name}". There are: ${this.names.join(", ")}.`);
    this.#left.set(known, times);
  }

  clear(): void {
    this.#left.clear();
  }

  /** Whether it is to be told now; counts as told. */
  tells(name: Name): boolean {
    const left = this.#left.get(name) ?? 0;
    if (left <= 0) return false;
    this.#left.set(name, left - 1);
    return true;
  }

  /** Whether it is ordered; counts for nothing. */
  has(name: Name): boolean {
    return (this.#left.get(name) ?? 0) > 0;
  }

  ordered(): Name[] {
    return this.names.filter((name) => this.has(name));
  }
}
