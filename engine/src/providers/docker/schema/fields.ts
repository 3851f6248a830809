import type { PropertyValue } from "../../../values.ts";

/**
 * What one property is: a plain value, a list or set of texts, a map of texts, or objects of their own fields
 * (`list` and `set`; `object` for those that there can be one of).
 */
export type Kind =
  | "string"
  | "int"
  | "bool"
  | "strings"
  | "stringSet"
  | "map"
  | { readonly list: Fields }
  | { readonly set: Fields }
  | { readonly object: Fields };

export interface Field {
  readonly kind: Kind;
  readonly required?: true;
  /** The engine fills it in where the program does not; a program that names nothing asks for no change. */
  readonly computed?: true;
  /** Nobody may set it: what the engine said. */
  readonly output?: true;
  /** A change makes a new resource. */
  readonly replace?: true;
  /** Filled in by Check, unless it is a zero (false, 0, ""), which is what a missing value means anyway. */
  readonly default?: PropertyValue;
  /** Gets a name of its own when the program gives none. */
  readonly autoname?: true;
  /** What a text or number has to be, in words, and whether it is. */
  readonly valid?: { readonly what: string; readonly test: (value: string | number) => boolean };
  /** Known to the official provider, not to this one: what to do instead. */
  readonly refused?: string;
  /** The values that mean the same to the engine: compared in this form. */
  readonly normal?: (value: string) => string;
  /** 0 asks for nothing: the engine chooses. */
  readonly zeroIsSilent?: true;
  /** The engine can change it, but not take it away: that makes a new resource. */
  readonly stays?: true;
  /** The engine tells less than was asked for: the same wish again is no change. */
  readonly vague?: true;
}

export interface Fields {
  readonly [name: string]: Field;
}

/** One resource type of the package. */
export interface ResourceTable {
  readonly fields: Fields;
  /** What the official provider keeps beside the outputs, as it writes it. */
  readonly meta: string;
  /** A new one can't stand beside the old one. */
  readonly deleteBeforeReplace: boolean;
}

type Options = Omit<Field, "kind">;
const of =
  (kind: Kind) =>
  (options: Options = {}): Field => ({ kind, ...options });

export const text = of("string");
export const int = of("int");
export const bool = of("bool");
export const texts = of("strings");
export const textSet = of("stringSet");
export const map = of("map");
export const list = (fields: Fields, options: Options = {}): Field => ({ kind: { list: fields }, ...options });
export const set = (fields: Fields, options: Options = {}): Field => ({ kind: { set: fields }, ...options });
export const object = (fields: Fields, options: Options = {}): Field => ({ kind: { object: fields }, ...options });

export const NEW = { replace: true } as const;
export const NEW_COMPUTED = { replace: true, computed: true } as const;
export const REQUIRED = { required: true } as const;
export const REQUIRED_NEW = { required: true, replace: true } as const;
export const OUTPUT = { output: true, computed: true } as const;

export const labels = { label: text(REQUIRED_NEW), value: text(REQUIRED_NEW) } satisfies Fields;

export const oneOf = (...values: string[]): NonNullable<Field["valid"]> => ({
  what: `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`,
  test: (value) => values.includes(String(value)),
});
export const atLeast0: NonNullable<Field["valid"]> = { what: "0 or more", test: (value) => Number(value) >= 0 };

/** The fields of an object kind; undefined: plain values. */
export function fieldsOf(kind: Kind): Fields | undefined {
  if (typeof kind === "string") return undefined;
  if ("list" in kind) return kind.list;
  return "set" in kind ? kind.set : kind.object;
}
