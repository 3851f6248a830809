/** What changes from run to run: each has a form, and is told by it. */
const varying: RegExp[] = [
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  /^[\w-]+\/[\w-]+:\d+\.\d+\.\d+@[0-9a-f]{32,64}$/,
  /^[0-9a-f]{64}$/,
  /^app-[A-Za-z0-9]{24}$/,
  /^[A-Za-z0-9]{16}$/,
  /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/,
  /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?$/,
  /^[0-9a-f]{32}\.png$/,
  /^[0-9a-f-]{36}\.png$/,
  /^dify-file-ref:[\w=]+$/,
  /^https?:\/\/[^/]+\/files\/tools\/[0-9a-f-]{36}\.png\?timestamp=\d+&nonce=[0-9a-f]{32}&sign=[\w=-]{43,44}$/,
];

const cut = /…\[\d+ (items|chars)\]$/;

/** Compares answers of the real Dify with those of the stand-in, and learns which of its ids stand for whose. */
export class Comparison {
  /** The real one's ids, addresses and tokens, and the stand-in's in their place. */
  readonly known = new Map<string, string>();
  /** Names whose values are this run's own: times, tokens, sizes. */
  readonly #own: Set<string>;

  constructor(addresses: Record<string, string>, own: string[]) {
    for (const [theirs, ours] of Object.entries(addresses)) this.known.set(theirs, ours);
    this.#own = new Set(own);
  }

  /** A text of the real one, with the stand-in's ids and addresses in it. */
  translated(text: string): string {
    let result = text;
    for (const [theirs, ours] of this.known) if (result.includes(theirs)) result = result.replaceAll(theirs, ours);
    return result;
  }

  /** The differences in shape and in what does not vary; `ours` may have nothing that `theirs` has not. */
  differences(theirs: unknown, ours: unknown, at = "$"): string[] {
    const name = /(\w+)$/.exec(at)?.[1] ?? "";
    if (typeof theirs === "string" && typeof ours === "string") {
      if (this.#own.has(name)) return [];
      return this.#texts(theirs, ours) ? [] : [`${at}: ${show(theirs)} there, ${show(ours)} here`];
    }
    if (typeof theirs === "number" && typeof ours === "number") {
      const time = (value: number) => value > 1_700_000_000 && value < 2_000_000_000;
      if (theirs === ours || this.#own.has(name) || (time(theirs) && time(ours))) return [];
      return [`${at}: ${theirs} there, ${ours} here`];
    }
    if (Array.isArray(theirs) && Array.isArray(ours)) return this.#lists(theirs, ours, at);
    if (isObject(theirs) && isObject(ours)) {
      const missing = Object.keys(theirs).filter((key) => !(key in ours));
      const strange = Object.keys(ours).filter((key) => !(key in theirs));
      return [
        ...missing.map((key) => `${at}.${key}: missing here`),
        ...strange.map((key) => `${at}.${key}: not there`),
        ...Object.keys(theirs).flatMap((key) =>
          key in ours ? this.differences(theirs[key], ours[key], `${at}.${key}`) : [],
        ),
      ];
    }
    if (theirs === ours || (this.#own.has(name) && (theirs === null) === (ours === null))) return [];
    return [`${at}: ${show(theirs)} there, ${show(ours)} here`];
  }

  #lists(theirs: unknown[], ours: unknown[], at: string): string[] {
    const last = theirs.at(-1);
    const whole = !(typeof last === "string" && cut.test(last));
    const compared = whole ? theirs : theirs.slice(0, -1);
    if (whole ? theirs.length !== ours.length : ours.length < compared.length)
      return [`${at}: ${theirs.length} items there, ${ours.length} here`];
    return compared.flatMap((each, number) => this.differences(each, ours[number], `${at}[${number}]`));
  }

  #texts(theirs: string, ours: string): boolean {
    if (this.translated(theirs) === ours || theirs === ours) return true;
    const form = varying.find((each) => each.test(theirs));
    if (form) {
      if (!form.test(ours)) return false;
      this.known.set(theirs, ours);
      return true;
    }
    // Where a long text is folded is each YAML library's own affair.
    if (cut.test(theirs))
      return unfolded(ours).startsWith(unfolded(this.translated(theirs.replace(cut, ""))).trimEnd());
    return leveled(this.translated(theirs)) === leveled(ours);
  }
}

const unfolded = (text: string) => text.replace(/\s+/g, " ");

/** Without what a message has of its run. */
const leveled = (text: string) => text.replace(/req_id: [0-9a-f]{10}/g, "req_id: …");

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const show = (value: unknown) => JSON.stringify(value)?.slice(0, 300) ?? "undefined";
