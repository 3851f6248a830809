/** Runs over all items, four at a time: enough against a slow line, no load for the WebUI. */
export async function each<T>(items: T[], body: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await body(item);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

/** The first of what went wrong, in a sentence. */
export function list(items: string[], shown = 6): string {
  const more = items.length > shown ? ` and ${items.length - shown} more` : "";
  // Calls run side by side: sorted, so that the same fault gives the same sentence.
  return items.sort().slice(0, shown).join("; ") + more;
}
