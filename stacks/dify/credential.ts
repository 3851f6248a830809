import { createHash } from "node:crypto";

/** Dify takes so many letters of a credential's name. */
const longest = 30;

/**
 * What a stack's credentials are called. A name that is cut ends in a hash of the whole: in one Dify, stacks overwrite what has their name.
 * @param state in somebody's Dify: another copy of the stack has another one, and credentials of its own
 */
export function credentialName(stack: string, state?: string): string {
  const whole = `atelier-${stack}`;
  if (state !== undefined) return `${cut(whole, longest - state.length - 1)}-${state}`;
  if (whole.length <= longest) return whole;
  const end = `-${createHash("sha256").update(whole).digest("hex").slice(0, 6)}`;
  return `${cut(whole, longest - end.length)}${end}`;
}

/** With no dash at its end, where one follows. */
const cut = (name: string, length: number): string => name.slice(0, length).replace(/-+$/, "");
