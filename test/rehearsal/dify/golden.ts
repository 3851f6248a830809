import { readFileSync } from "node:fs";

const folder = new URL("../../golden/dify/", import.meta.url);

/** A request to the real Dify 1.14.2, with its answer. */
export interface Exchange {
  note: string;
  method: string;
  path: string;
  req_headers: Record<string, string>;
  body: unknown;
  status: number;
  set_cookie: string[] | null;
  ctype: string;
  resp: unknown;
}

export const lines = (name: string): unknown[] =>
  readFileSync(new URL(name, folder), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

export const exchanges = (): Exchange[] => lines("exchanges.jsonl") as Exchange[];

/** A DSL file that was imported into the real one. */
export const app = (name: string): string => readFileSync(new URL(`apps/${name}.yml`, folder), "utf8");
