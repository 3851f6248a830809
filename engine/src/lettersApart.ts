/** How many letters have to be put in, left out, changed or swapped with their neighbour to make one text of the other. */
export function lettersApart(a: string, b: string): number {
  const from = [...a];
  const to = [...b];
  const rows = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  for (const [i, letter] of from.entries()) {
    const above = rows[i] ?? [];
    const row = [i + 1];
    for (const [j, other] of to.entries()) {
      const change = (above[j] ?? 0) + (letter === other ? 0 : 1);
      const swapped = i > 0 && j > 0 && letter === to[j - 1] && from[i - 1] === other;
      const swap = swapped ? (rows[i - 1]?.[j - 1] ?? 0) + 1 : change;
      row.push(Math.min(change, swap, (above[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? 0;
}
