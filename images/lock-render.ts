import { Document, isMap, type Node, type YAMLMap } from "yaml";
import type { AtelierLock, Seen } from "./lock.ts";

const head = [
  " What a stack is made of, each by what proves it. Made by `npx atelier lock` from the files of images/; do not edit.",
  " `atelier up` uses what stands here and nothing else; `atelier lock --check` says what has moved upstream.",
].join("\n");

const says: Partial<Record<keyof AtelierLock, string>> = {
  sources: " A commit proves itself, whoever serves it. Paths are under each git upstream, tried in order.",
  wheels: " sha256 of images/wheels/<name>.txt, which has every package with its version and hashes.",
  models: " One without a sha256 is recorded at its first verified download; then `npx atelier lock` takes it in.",
  dify: " Digests are of image indexes. Of a plugin that is `computed`, `up` asks the marketplace and records what it says; where that is from: images/dify.ts.",
  seen: " What the upstreams showed when this was made. Nothing is installed by it.",
};

/** The lock as text: the same for the same content, one fact a line. */
export function renderLock(lock: AtelierLock): string {
  const { seen, ...rest } = lock;
  const document = new Document({ ...rest, ...(isEmpty(seen) ? {} : { seen: sorted(seen) }) });
  document.commentBefore = head;
  if (isMap(document.contents))
    for (const { key } of (document.contents as YAMLMap<Node>).items) {
      const comment = says[String(key) as keyof AtelierLock];
      if (comment) key.commentBefore = comment;
      key.spaceBefore = true;
    }
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

const isEmpty = (seen: Seen | undefined): seen is undefined =>
  !seen || Object.values(seen).every((part) => Object.keys(part).length === 0);

function sorted<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, sorted(inner)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as T;
}
