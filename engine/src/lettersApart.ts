/** How many letters have to be put in, left out or changed to make one text of the other (Levenshtein's distance). */
export function lettersApart(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const row = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const change = (before[j] ?? 0) + (letter === other ? 0 : 1);
      row.push(Math.min(change, (before[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    before = row;
  }
  return before.at(-1) ?? 0;
}
