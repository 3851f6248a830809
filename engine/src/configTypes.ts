type Json = Record<string, unknown>;

const TYPES = ["string", "integer", "boolean", "array", "object"] as const;
type TypeName = (typeof TYPES)[number];

/** The type of a list's elements. */
interface Items {
  type: TypeName;
  items?: Items;
}

/** What Pulumi.yaml says of one setting. */
export interface Declaration {
  /** Undefined: it has a value, and no type. */
  type?: TypeName;
  items?: Items;
  secret: boolean;
  /** The value where the stack gives none. */
  fallback?: unknown;
}

/**
 * Reads the entries of Pulumi.yaml's `config:`.
 * @returns them by `project:name`, and every mistake in them in words
 */
export function readDeclarations(
  project: string,
  config: Json,
): { declared: Record<string, Declaration>; faults: string[] } {
  const declared: Record<string, Declaration> = {};
  const faults: string[] = [];
  for (const [key, entry] of Object.entries(config)) {
    const full = key.includes(":") ? key.replace(/^([^:]+):config:/, "$1:") : `${project}:${key}`;
    const isOwn = full.startsWith(`${project}:`);
    const form = (
      typeof entry === "object" && entry !== null && !Array.isArray(entry) ? entry : { value: entry }
    ) as Json;
    const { type, items, default: fallback, value, secret } = form;
    if (type !== undefined && !isType(type)) faults.push(`config ${key}: there is no type ${JSON.stringify(type)}`);
    if (fallback !== undefined && value !== undefined) faults.push(`config ${key} has both a default and a value`);
    if (!isOwn && (type !== undefined || fallback !== undefined || value === undefined))
      faults.push(`config ${key} is of another namespace than the project: it can have a value only`);
    if (isOwn && type === "array" && !isItems(items))
      faults.push(`config ${key} is a list, and does not say of what (items)`);
    const one: Declaration = { secret: secret === true };
    if (isType(type)) one.type = type;
    if (isItems(items)) one.items = items;
    const given = value ?? fallback;
    if (given !== undefined && given !== null) one.fallback = given;
    if (one.type !== undefined && fallback !== undefined && !fits(one.type, one.items, fallback))
      faults.push(`config ${key}: its default is not of the type ${nameOf(one.type, one.items)}`);
    declared[full] = one;
  }
  return { declared, faults };
}

/** A setting as the program will get it: structured where it was written so, else its text. */
export interface GivenSetting {
  content: unknown;
  secret: boolean;
}

/** What a stack's settings lack of what Pulumi.yaml declares, in words; all of it. */
export function settingFaults(
  project: string,
  declared: Record<string, Declaration>,
  given: (key: string) => GivenSetting | undefined,
): string[] {
  return Object.entries(declared).flatMap(([key, { type, items, secret }]) => {
    const setting = given(key);
    if (setting === undefined) return key.startsWith(`${project}:`) ? [`${key} is missing`] : [];
    if (type === undefined) return [];
    if (secret && !setting.secret) return [`${key} is a secret, and must be encrypted (pulumi config set --secret)`];
    return fits(type, items, setting.content) ? [] : [`${key} must be of the type ${nameOf(type, items)}`];
  });
}

/** Whole numbers and truth values may be written as texts. */
function fits(type: TypeName, items: Items | undefined, value: unknown): boolean {
  switch (type) {
    case "string":
      return typeof value === "string";
    case "integer":
      return typeof value === "string"
        ? /^[-+]?\d+$/.test(value)
        : typeof value === "bigint" || Number.isInteger(value);
    case "boolean":
      return typeof value === "boolean" || value === "true" || value === "false";
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "array":
      return (
        Array.isArray(value) && items !== undefined && value.every((element) => fits(items.type, items.items, element))
      );
  }
}

function nameOf(type: TypeName, items: Items | undefined): string {
  return type === "array" && items !== undefined ? `array<${nameOf(items.type, items.items)}>` : type;
}

function isType(type: unknown): type is TypeName {
  return (TYPES as readonly unknown[]).includes(type);
}

function isItems(items: unknown): items is Items {
  if (typeof items !== "object" || items === null) return false;
  const { type, items: inner } = items as Json;
  return isType(type) && (type !== "array" || isItems(inner));
}
