import { parseUrn } from "./urn.ts";

const MOST = 3;
/** So many letters may be wrong. */
const TYPOS = 3;

/** What to say of a URN that names nothing: those that may have been meant, the nearest first; "" where there is none. */
export function didYouMean(urn: string, known: Iterable<string>): string {
  const all = [...known];
  const eaten = all.filter((one) => withoutVariables(one) === urn);
  if (eaten.length > 0)
    return ` A shell replaces what follows a $ in double quotes; write it in single ones: '${eaten.join("', '")}'.`;
  const near = all
    .map((one) => ({ one, apart: lettersApart(one, urn) }))
    .filter(({ one, apart }) => apart <= TYPOS || nameIn(one) === nameIn(urn))
    .sort((a, b) => a.apart - b.apart)
    .slice(0, MOST);
  return near.length === 0 ? "" : ` Did you mean ${near.map(({ one }) => `'${one}'`).join(" or ")}?`;
}

/** As a shell hands on what stood in double quotes. */
function withoutVariables(text: string): string {
  return text.replace(/\$[A-Za-z_]\w*/g, "");
}

function nameIn(urn: string): string {
  try {
    return parseUrn(urn).name;
  } catch {
    return urn;
  }
}

/** How many letters have to be put in, left out or changed, as far as that matters here. */
function lettersApart(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > TYPOS) return Number.POSITIVE_INFINITY;
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
