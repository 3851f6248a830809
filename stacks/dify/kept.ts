import { secretLengths } from "./secretLengths.ts";

/**
 * Whether a resource is of what outlives `down`: Dify's volumes, and the passwords that their content was made with. One without
 * the other is worth nothing: a database keeps its first password.
 */
export function outlivesDown({ urn, type }: { urn: string; type: string }): boolean {
  if (!urn.includes("atelier:dify:Dify$")) return false;
  const name = urn.slice(urn.lastIndexOf("::") + 2);
  return type === "docker:index/volume:Volume" || Object.hasOwn(secretLengths, name);
}
