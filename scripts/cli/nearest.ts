import { lettersApart } from "@atelier/engine/lettersApart";

/** Words of other tools for what is called otherwise here. */
const otherwise: Record<string, string> = { destroy: "down", apply: "up", deploy: "up", start: "up", plan: "preview" };

/** The word that was meant, where one is near enough; capitals, dashes and underscores make no difference. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const [near] = known
    .map((other) => ({ other, far: lettersApart(plain(word), plain(other)) }))
    .filter(({ other, far }) => far <= Math.min(2, (Math.max(word.length, other.length) - 1) / 2))
    .sort((a, b) => a.far - b.far);
  return near?.other;
}

const plain = (word: string): string => word.toLowerCase().replace(/[-_]/g, "");

/** For an error: the word that was meant, where there is one. */
export function didYouMean(word: string, known: readonly string[], shown = (near: string) => `\`${near}\``): string {
  const meant = otherwise[word] ?? nearestOf(word, known);
  return meant !== undefined && known.includes(meant) ? ` Did you mean ${shown(meant)}?` : "";
}
