import type { Console } from "./client.ts";
import type { CheckedItem, ItemInput, ItemName } from "./input.ts";
import type { Say } from "./wait.ts";

/** What an item works with. `apply` and `remove` may run any number of times. */
export interface Work<Name extends ItemName> {
  console: Console;
  input: ItemInput<Name>;
  say: Say;
  /** What it said when it was applied last, where the resource tells. */
  before: Record<string, unknown> | undefined;
  /** Edits made in Dify's console may be overwritten. */
  force: boolean;
}

export type Wanted<Name extends ItemName> = Extract<CheckedItem, { item: Name }>;

/** How an item stands. `edited`: fields that somebody changed in the console; left alone, and no reason to apply it again. */
export interface Standing {
  ok: boolean;
  why?: string;
  edited?: string[];
}

export interface Making<Name extends ItemName> {
  /** @returns its facts, one line of JSON on standard output */
  apply(work: Work<Name>): Promise<Record<string, unknown>>;
  /** Takes away what `apply` made, and nothing else; of an own Dify it is never asked. */
  remove(work: Work<Name>): Promise<void>;
}

export interface Item<Name extends ItemName> extends Making<Name> {
  /** Changes nothing. `force`: as an apply would be told. */
  check(console: Console, wanted: Wanted<Name>, how: { own: boolean; force: boolean }): Promise<Standing>;
}

export const inPlace: Standing = { ok: true };
export const missing = (why: string): Standing => ({ ok: false, why });
