import { z } from "zod";

/** The keys that are taken at `path`; of several forms, those of the one that `value` is meant to have. */
export function keysAt(schema: unknown, path: readonly PropertyKey[], value: unknown): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return keysAt(schema.unwrap(), path, value);
  if (schema instanceof z.ZodPipe) return keysAt(schema.in, path, value);
  if (schema instanceof z.ZodUnion) {
    const options: readonly unknown[] = schema.options;
    const meant = options.filter((option) => isMeant(option, value));
    return [...new Set((meant.length > 0 ? meant : options).flatMap((option) => keysAt(option, path, value)))];
  }
  const [key, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    if (key === undefined) return Object.keys(schema.shape);
    return keysAt(schema.shape[String(key)], rest, (value as Record<PropertyKey, unknown> | undefined)?.[key]);
  }
  if (schema instanceof z.ZodArray && key !== undefined)
    return keysAt(schema.element, rest, (value as Record<PropertyKey, unknown> | undefined)?.[key]);
  return [];
}

/** Whether the value has the word that tells this form of an object from the others. */
function isMeant(option: unknown, value: unknown): boolean {
  if (option instanceof z.ZodPipe) return isMeant(option.in, value);
  if (!(option instanceof z.ZodObject) || typeof value !== "object" || value === null) return false;
  return Object.entries(option.shape).some(
    ([key, one]) => one instanceof z.ZodLiteral && one.values.has((value as Record<string, never>)[key] as never),
  );
}

/** Where else a key of this name stands: `webui.port`. */
export function placesOf(schema: z.ZodObject, name: string): string[] {
  const tops = Object.keys(schema.shape);
  return tops.flatMap((top) => (keysAt(schema, [top], undefined).includes(name) ? [`${top}.${name}`] : []));
}
