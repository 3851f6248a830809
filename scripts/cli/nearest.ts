import { lettersApart } from "@atelier/engine/lettersApart";

/** Words of other tools for what is called otherwise here. */
const otherwise: Record<string, string> = { destroy: "down", apply: "up", deploy: "up", start: "up", plan: "preview" };

/** For an error: the word that was meant, where one is near enough. */
export function didYouMean(word: string, known: readonly string[], shown = (near: string) => `\`${near}\``): string {
  const [near] = known
    .map((other) => ({ other, far: lettersApart(word, other) }))
    .filter(({ other, far }) => far <= Math.min(2, (other.length - 1) / 2))
    .sort((a, b) => a.far - b.far);
  const meant = otherwise[word] ?? near?.other;
  return meant !== undefined && known.includes(meant) ? ` Did you mean ${shown(meant)}?` : "";
}
