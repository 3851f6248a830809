/** What a served file can be told to do wrong. Offsets are bytes of the whole file. */
export interface Fault {
  /** Matches every request whose path ends in it, such as `v1-5-pruned-emaonly.safetensors`. */
  path: string;
  /** How many matching requests it spoils. @default all */
  times?: number;
  /** Spoils only requests with this method. @default GET */
  method?: "GET" | "HEAD";
  /** The connection breaks at this byte. */
  cutAt?: number;
  /** Ranges are ignored: 200 and the whole file. */
  noRanges?: boolean;
  /** Nothing more is sent from this byte on; the connection stays open. */
  stallAt?: number;
  /** At most so many bytes a second. */
  bytesPerSecond?: number;
  /** Answers with this status instead, such as 503 … */
  status?: number;
  /** … and this many seconds in Retry-After. */
  retryAfter?: number;
  /** A page of HTML with status 200, as portals and block pages answer. */
  html?: boolean;
  /** The right length, other bytes. */
  corrupt?: boolean;
}

/** The ordered faults; each request takes the first that matches. */
export class Faults {
  #orders: (Fault & { left: number })[] = [];

  order(fault: Fault): void {
    this.#orders.push({ ...fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.#orders = [];
  }

  take(method: string, path: string): Fault | undefined {
    const found = this.#orders.find(
      (fault) => fault.left > 0 && (fault.method ?? "GET") === method && path.endsWith(fault.path),
    );
    if (found) found.left -= 1;
    return found;
  }
}
