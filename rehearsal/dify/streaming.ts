import type { Values } from "./graph.ts";
import { type Piece, piecesOf } from "./template.ts";

/** Tells a piece of the answer, and which node's field it comes from. */
type Tell = (text: string, from: [string, string]) => void;

/**
 * Streams a template while the nodes behind it still run: its words as soon as all before them is known, a running
 * node's text as it comes, everything else when its node is done.
 */
export class Streaming {
  readonly #pieces: Piece[];
  readonly #values: Values;
  readonly #words: [string, string];
  readonly #tell: Tell;
  #at = 0;
  /** Whether the piece at hand came in chunks already. */
  #chunked = false;

  /** @param words the node that the template's own words are told of */
  constructor(template: string, values: Values, words: string, tell: Tell) {
    this.#pieces = piecesOf(template);
    this.#values = values;
    this.#words = [words, "answer"];
    this.#tell = tell;
  }

  /** A running node's text. */
  chunk(node: string, field: string, text: string): void {
    const piece = this.#pieces[this.#at];
    if (!piece || "words" in piece || piece.node !== node || piece.field !== field) return;
    this.#chunked = true;
    this.#tell(text, [node, field]);
  }

  /** Tells all that is known from here on. */
  advance(): void {
    for (; this.#at < this.#pieces.length; this.#at++) {
      const piece = this.#pieces[this.#at] as Piece;
      if ("words" in piece) {
        this.#tell(piece.words, this.#words);
        continue;
      }
      const value = this.#values.get(piece.node, piece.field);
      if (value === undefined) return;
      if (!this.#chunked) for (const text of this.#texts(value)) this.#tell(text, [piece.node, piece.field]);
      this.#chunked = false;
    }
  }

  #texts(value: string | Parameters<Values["markdown"]>[0][]): string[] {
    return typeof value === "string" ? [value] : value.map((each) => this.#values.markdown(each));
  }
}
