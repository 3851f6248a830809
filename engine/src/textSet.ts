/** Texts to be found in other texts, all in one pass: thousands of them may be added while a run goes on. */
export class TextSet {
  /** By their first three characters, the longest first: one that holds another must not leave its rest behind. */
  readonly #byStart = new Map<number, string[]>();
  /** First characters that any of them has. */
  readonly #first = new Uint8Array(0x10000);
  readonly #known = new Set<string>();

  /** The shortest text that can be found. */
  static readonly shortest = 3;

  get size(): number {
    return this.#known.size;
  }

  /** Adds a text; one that is too short to be found is left out. */
  add(text: string): void {
    if (text.length < TextSet.shortest || this.#known.has(text)) return;
    this.#known.add(text);
    this.#first[text.charCodeAt(0)] = 1;
    const key = startOf(text, 0);
    const others = this.#byStart.get(key);
    if (others === undefined) this.#byStart.set(key, [text]);
    else {
      others.push(text);
      others.sort((a, b) => b.length - a.length);
    }
  }

  isIn(text: string): boolean {
    return this.#next(text, 0) !== undefined;
  }

  /** The text with each one in it replaced by the word. */
  replaceIn(text: string, word: string): string {
    let result = "";
    let from = 0;
    for (let found = this.#next(text, 0); found !== undefined; found = this.#next(text, from)) {
      result += text.slice(from, found.at) + word;
      from = found.at + found.length;
    }
    return from === 0 ? text : result + text.slice(from);
  }

  #next(text: string, from: number): { at: number; length: number } | undefined {
    if (this.#known.size === 0) return undefined;
    for (let at = from; at <= text.length - TextSet.shortest; at++) {
      if (this.#first[text.charCodeAt(at)] === 0) continue;
      const candidates = this.#byStart.get(startOf(text, at));
      const found = candidates?.find((candidate) => text.startsWith(candidate, at));
      if (found !== undefined) return { at, length: found.length };
    }
    return undefined;
  }
}

/** Three characters as one number. */
function startOf(text: string, at: number): number {
  return (text.charCodeAt(at) * 0x10000 + text.charCodeAt(at + 1)) * 0x10000 + text.charCodeAt(at + 2);
}
