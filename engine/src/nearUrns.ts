import { lettersApart } from "./lettersApart.ts";
import { parseUrn } from "./urn.ts";

const MOST = 3;
/** So many letters may be wrong. */
const TYPOS = 3;
const MANY = Number.POSITIVE_INFINITY;

/** What to say of a URN that names nothing: those that may have been meant, the nearest first; "" where there is none. */
export function didYouMean(urn: string, known: Iterable<string>): string {
  const all = [...known];
  const eaten = all.filter((one) => withoutVariables(one) === urn);
  if (eaten.length > 0)
    return ` A shell replaces what follows a $ in double quotes; write it in single ones: '${eaten.join("', '")}'.`;
  const near = all
    .map((one) => ({ one, apart: Math.abs(one.length - urn.length) > TYPOS ? MANY : lettersApart(one, urn) }))
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
