/** Longer ones do not fit into what a call's status may hold. In letters: each may take nine bytes on the way. */
const BEGINNING = 1000;
const END = 3000;

/** A function of a provider has failed: the program hears why, and may go on without its answer. */
export class InvokeFailed extends Error {
  /** @param reason without secrets */
  constructor(token: string, reason: string) {
    super(`invocation of ${token} returned an error: ${shortened(reason)}`);
    this.name = "InvokeFailed";
  }
}

function shortened(text: string): string {
  const left = text.length - BEGINNING - END;
  if (left <= 0) return text;
  return `${text.slice(0, BEGINNING)}… (${left} characters more) …${text.slice(-END)}`;
}
