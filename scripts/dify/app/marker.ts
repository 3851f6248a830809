/**
 * Words in an app's description: whose it is, and how it was left. They travel with the app, so that any machine with the
 * same settings knows it again, renamed or not, and an edit in the console is told from a change of the settings.
 */
export interface Marker {
  /** `<stack>/<role>` */
  owner: string;
  /** Of the state that made it; undefined in a Dify of the stack's own, and where an earlier Atelier made it. */
  state?: string | undefined;
  /** Hash of the content as Dify gave it back after the last apply; undefined where one did not come to its end. */
  content: string | undefined;
  /** Hash of what was wanted then. */
  wanted: string;
  /** Its API key's id, the first letters. */
  key: string | undefined;
  /** It was there before us: it stays at `down`. */
  kept: boolean;
}

const form =
  /\s*\[atelier ([\w.-]+\/[\w-]+)(?:@([0-9a-f]{8}))? ([0-9a-f]{8}|-) ([0-9a-f]{8}) ([\w]{1,12}|-)( kept)?\]\s*/;

/** A description without its marker, and the marker: written last, but people write behind it. */
export function readMarker(description: string | null | undefined): { text: string; marker: Marker | undefined } {
  const whole = description ?? "";
  const found = form.exec(whole);
  if (!found) return { text: whole.trim(), marker: undefined };
  const [, owner = "", state, content, wanted = "", key, kept] = found;
  const known = (word: string | undefined) => (word === "-" ? undefined : word);
  return {
    text: `${whole.slice(0, found.index)} ${whole.slice(found.index + found[0].length)}`.trim(),
    marker: { owner, state, content: known(content), wanted, key: known(key), kept: kept !== undefined },
  };
}

/** Letters that Dify takes of a description. */
const most = 400;

const wordsOf = ({ owner, state, content, wanted, key, kept }: Marker) =>
  `[atelier ${owner}${state ? `@${state}` : ""} ${content ?? "-"} ${wanted} ${key ?? "-"}${kept ? " kept" : ""}]`;

/** Letters that a marker leaves for a description. */
export const roomBeside = (marker: Marker): number => most - 1 - wordsOf(marker).length;

/** A description with its marker; its end is cut off where it is longer than `roomBeside`. */
export const withMarker = (text: string, marker: Marker): string =>
  `${text.slice(0, roomBeside(marker)).trim()} ${wordsOf(marker)}`.trim();

/** An API key's id as the marker has it. */
export const shortId = (id: string): string => id.replaceAll("-", "").slice(0, 8);
