import { change, entry } from "./arbitraries.ts";
import type { Kind, Model } from "./model.ts";
import { type Registration, registrationsOf } from "./registrations.ts";

/** What the model's kinds are in the program `random.ts`. */
const REAL_TYPES: [string, string][] = [
  ["fake:index:Thing", "command:local:Command"],
  ["fake:index:Solo", "pulumi-nodejs:dynamic:Resource"],
  ["plain:index:Thing", "pulumi-nodejs:dynamic:Resource"],
];

/** Entries and changes that a program of commands and dynamic resources can have. */
export const realEntry = entry.map((one) => ({
  ...one,
  kind: (one.kind === "provider" ? "thing" : one.kind) as Kind,
  protect: undefined,
}));
export const realChange = change.filter(({ kind }) => !["protect", "provider", "version", "secret"].includes(kind));

/** A model for the settings of the program `random.ts`. */
export function realRegistrations(model: Model): Registration[] {
  const urn = (text: string): string => REAL_TYPES.reduce((all, [from, to]) => all.replaceAll(from, to), text);
  return registrationsOf(model).map((one) => ({ ...one, aliases: one.aliases.map(urn) }));
}
