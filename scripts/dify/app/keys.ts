import type { Console } from "../client.ts";
import { shortId } from "./marker.ts";

/** An API key of an app. */
export interface Key {
  id: string;
  token: string;
  created_at: number;
}

/** The keys of an app, the oldest first. */
export async function keysOf(console: Console, id: string): Promise<Key[]> {
  const { data } = await console.get<{ data: Key[] }>(`/apps/${id}/api-keys`);
  console.masker.add(...data.map(({ token }) => token));
  return data.sort((a, b) => a.created_at - b.created_at);
}

/** An app may have ten keys: the one of before, else any that is there, else a new one. */
export async function keyOf(console: Console, id: string, known: string | undefined): Promise<Key> {
  const there = await keysOf(console, id);
  const key =
    there.find((one) => shortId(one.id) === known) ??
    there[0] ??
    (await console.call<Key>("POST", `/apps/${id}/api-keys`));
  console.masker.add(key.token);
  return key;
}
