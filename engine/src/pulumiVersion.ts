/** The official CLI that this engine does as: what programs and projects ask of its version is answered with this. */
const PULUMI_VERSION = "3.260.0";

type Test = (order: number) => boolean;

const TESTS: Record<string, Test> = {
  "": (order) => order === 0,
  "=": (order) => order === 0,
  "==": (order) => order === 0,
  "!": (order) => order !== 0,
  "!=": (order) => order !== 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
};

const TERM = /^(==?|!=?|>=?|<=?)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:[-+]\S*)?$/;

/**
 * Why a wish for the CLI's version is not met; undefined: it is. Wishes read as the official CLI has them: `>=3.5.0 !3.7.7` wants
 * both, `<3.4.0 || >3.8.0` one of them, `3.x` any of them.
 */
export function versionFault(range: string, version = PULUMI_VERSION): string | undefined {
  let met = false;
  for (const all of range.split("||")) {
    const terms = all
      .replace(/([=!<>])\s+/g, "$1")
      .split(/\s+/)
      .filter((term) => term !== "");
    const tests = terms.map((term) => satisfies(term, version));
    if (terms.length === 0 || tests.includes(undefined)) {
      return `"${range}" is no range of versions. Write it as ">=3.5.0 !3.7.7" or "<3.4.0 || >3.8.0".`;
    }
    met ||= tests.every((test) => test);
  }
  if (met) return undefined;
  return `A Pulumi CLI of version ${range} is required; the embedded engine stands for ${version}. Use such a CLI: --engine pulumi.`;
}

/** Undefined: the term is none. */
function satisfies(term: string, version: string): boolean | undefined {
  const [, operator = "", ...parts] = TERM.exec(term) ?? [];
  if (parts[0] === undefined) return undefined;
  const wanted = parts.map((part) => (part === undefined || !/^\d+$/.test(part) ? undefined : Number(part)));
  const given = version.split(".").map(Number);
  // A part that is left open is no difference: 3.260.0 is 3.x, and not above it.
  const order = given.map((part, index) => part - (wanted[index] ?? part)).find((difference) => difference !== 0) ?? 0;
  return (TESTS[operator] as Test)(order);
}
