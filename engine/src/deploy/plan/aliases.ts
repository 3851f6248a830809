import { createUrn, parseUrn, qualifyType, STACK_TYPE } from "../../urn.ts";
import type { AliasSpec } from "./goal.ts";

export interface AliasContext {
  stack: string;
  project: string;
  /** The old URN under which a resource of this run was found, if that was not its own. */
  aliasOf: (urn: string) => string | undefined;
}

/** Every URN that a resource may have had: by its own aliases, and by what its parent was called. */
export function formerUrns(
  resource: { name: string; type: string; parent: string | undefined; aliases: AliasSpec[] },
  context: AliasContext,
): string[] {
  const { name, type, parent } = resource;
  const own = resource.aliases.map((alias) => collapse(alias, resource, context));
  const found = new Set(own);
  const parentAlias = parent === undefined ? undefined : context.aliasOf(parent);
  if (parent !== undefined && parentAlias !== undefined) {
    const parentName = parseUrn(parent).name;
    found.add(inherited(type, name, parentName, parentAlias, context));
    for (const alias of own) {
      const parts = parseUrn(alias);
      found.add(inherited(parts.type, parts.name, parentName, parentAlias, context));
    }
  }
  return [...found];
}

function collapse(
  alias: AliasSpec,
  resource: { name: string; type: string; parent: string | undefined },
  context: AliasContext,
): string {
  if (alias.urn) return alias.urn;
  let parent = alias.parentUrn === undefined ? resource.parent : (context.aliasOf(alias.parentUrn) ?? alias.parentUrn);
  if (alias.noParent || (parent !== undefined && parseUrn(parent).qualifiedType === STACK_TYPE)) parent = undefined;
  return createUrn(
    alias.stack ?? context.stack,
    alias.project ?? context.project,
    parent,
    alias.type ?? resource.type,
    alias.name ?? resource.name,
  );
}

/** The child's URN under its parent's former name: a child named after its parent was named after that. */
function inherited(
  childType: string,
  childName: string,
  parentName: string,
  parentAlias: string,
  context: AliasContext,
): string {
  const former = parseUrn(parentAlias).name;
  const name = childName.startsWith(parentName) ? former + childName.slice(parentName.length) : childName;
  return `urn:pulumi:${context.stack}::${context.project}::${qualifyType(parentAlias, childType)}::${name}`;
}
