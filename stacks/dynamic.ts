import * as pulumi from "@pulumi/pulumi";

/** A function that stands in the state as its own text: it may use its arguments, globals, `await import(…)`, and the others of its list. */
// biome-ignore lint/suspicious/noExplicitAny: any function has a text
type Written = (...args: any[]) => unknown;

/**
 * A dynamic resource whose provider goes into the state as it is written here. The SDK's own class takes functions apart with the
 * TypeScript compiler, at every run of the program, for a third of its time; ours capture nothing, so their text is all of them.
 */
export abstract class DynamicResource extends pulumi.CustomResource {
  /**
   * @param provider an object literal with nothing but methods in short form
   * @param uses the functions that its methods use, by the names that they have there
   */
  constructor(
    { provider, uses = [] }: { provider: pulumi.dynamic.ResourceProvider; uses?: Written[] },
    name: string,
    props: pulumi.Inputs,
    opts: pulumi.CustomResourceOptions,
  ) {
    super("pulumi-nodejs:dynamic:Resource", name, { ...props, __provider: textOf(provider, uses) }, opts);
  }
}

/** The module that both engines' providers of dynamic resources load: `exports.handler` makes the provider. */
export function textOf(provider: pulumi.dynamic.ResourceProvider, uses: Written[]): string {
  const methods = Object.values<Written>({ ...provider }).map((method) => `${method},`);
  return `${[...uses, `exports.handler = () => ({`, ...methods, "});"].join("\n")}\n`;
}
