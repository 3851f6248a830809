import { EMPTY, type Entry, type Model, nameOf, planted } from "./model.ts";
import { QUIET, type Story } from "./story.ts";

/** A story in few words: what is as it is without saying is left out. */
export function told(story: Story): string {
  const { entries } = planted(story.entries);
  const model: Model = { entries, removed: [], version: 0 };
  return [
    ...model.entries.map(
      (entry) => `  ${nameOf(entry)} ${unlike(entry, { ...EMPTY, uid: entry.uid, kind: entry.kind })}`,
    ),
    ...story.fresh.map((entry) => `  to come: ${unlike(entry, EMPTY)}`),
    ...story.chapters.map((chapter, i) => `  ${i + 1}. ${unlike(chapter, QUIET)}`),
    `  ${unlike({ tidy: story.tidy, refreshed: story.refreshed }, { tidy: false, refreshed: false })}`,
  ].join("\n");
}

function unlike(value: object, usual: object): string {
  const own = usual as Record<string, unknown>;
  const said = Object.entries(value as Partial<Entry>).filter(
    ([key, part]) => JSON.stringify(part) !== JSON.stringify(own[key]),
  );
  return JSON.stringify(Object.fromEntries(said)).replaceAll('"', "");
}
