/** Resource names: `urn:pulumi:<stack>::<project>::<parent type$…$>type::<name>`. */

export const STACK_TYPE = "pulumi:pulumi:Stack";

const PREFIX = "urn:pulumi:";

export interface UrnParts {
  stack: string;
  project: string;
  /** The types of the parents and its own, joined by `$`. */
  qualifiedType: string;
  type: string;
  /** May itself hold `::`. */
  name: string;
}

/**
 * The URN of a resource.
 * @param parentUrn undefined: no parent; the root stack leaves no trace in its children's URNs
 */
export function createUrn(
  stack: string,
  project: string,
  parentUrn: string | undefined,
  type: string,
  name: string,
): string {
  return `${PREFIX}${stack}::${project}::${qualifyType(parentUrn, type)}::${name}`;
}

/** The type with its parents' types before it, as it stands in a URN. */
export function qualifyType(parentUrn: string | undefined, type: string): string {
  if (parentUrn === undefined || parentUrn === "") return type;
  const parent = parseUrn(parentUrn).qualifiedType;
  return parent === STACK_TYPE ? type : `${parent}$${type}`;
}

/** @throws when the text is no URN */
export function parseUrn(urn: string): UrnParts {
  const [stack, project, qualifiedType, ...name] = urn.startsWith(PREFIX) ? urn.slice(PREFIX.length).split("::") : [];
  if (stack === undefined || project === undefined || qualifiedType === undefined || name.length === 0) {
    throw new Error(`"${urn}" is not a resource's URN. A URN reads urn:pulumi:<stack>::<project>::<type>::<name>.`);
  }
  const type = qualifiedType.slice(qualifiedType.lastIndexOf("$") + 1);
  return { stack, project, qualifiedType, type, name: name.join("::") };
}

export function isUrn(text: string): boolean {
  return text.startsWith(PREFIX) && text.split("::").length >= 4;
}
