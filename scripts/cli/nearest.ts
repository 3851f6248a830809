/** Words of other tools for what is called otherwise here. */
const otherwise: Record<string, string> = { destroy: "down", apply: "up", deploy: "up", start: "up", plan: "preview" };

/** For an error: the word that was meant, where one is near enough. */
export function didYouMean(word: string, known: readonly string[], shown = (near: string) => `\`${near}\``): string {
  const [near] = known
    .map((other) => ({ other, far: distance(word, other) }))
    .filter(({ other, far }) => far <= Math.min(2, (other.length - 1) / 2))
    .sort((a, b) => a.far - b.far);
  const meant = otherwise[word] ?? near?.other;
  return meant !== undefined && known.includes(meant) ? ` Did you mean ${shown(meant)}?` : "";
}

/** How many letters have to be put in, taken out or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}
