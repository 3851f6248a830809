import { Refusal } from "./goal.ts";

export const UNKNOWN_ID = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const PROVIDER_TYPE = "pulumi:providers:";

export function isProviderType(type: string): boolean {
  return type.startsWith(PROVIDER_TYPE);
}

export function providerType(pkg: string): string {
  return PROVIDER_TYPE + pkg;
}

/** `command:local:Command` → `command`; of a provider's type, the package that it provides. */
export function packageOf(type: string): string {
  return isProviderType(type) ? type.slice(PROVIDER_TYPE.length) : type.slice(0, type.indexOf(":"));
}

/**
 * The parts of `<provider urn>::<id>`: split at the last `::`, since a URN holds several.
 * @throws Refusal on anything else
 */
export function parseReference(reference: string): { urn: string; id: string } {
  const at = reference.lastIndexOf("::");
  if (!reference.startsWith("urn:pulumi:") || at <= 0) {
    throw new Refusal(`"${reference}" is no provider reference (<urn>::<id>).`);
  }
  return { urn: reference.slice(0, at), id: reference.slice(at + 2) };
}
