import { randomUUID } from "node:crypto";
import { equalValues } from "../compare.ts";
import { notCovered } from "../deploy/plan/goal.ts";
import { containsSecret } from "../deploy/steps/marking.ts";
import type { CheckResult, Provider } from "../provider.ts";
import { type PropertyMap, type PropertyValue, Secret } from "../values.ts";

const STACK_REFERENCE = "pulumi:pulumi:StackReference";
const STASH = "pulumi:index:Stash";

/** The one property that each of the types has as its input. */
const INPUT: Record<string, string> = { [STACK_REFERENCE]: "name", [STASH]: "input" };

/** The outputs of another stack, secrets marked. @throws when there is no such stack, or it can't be read */
export type ReadStack = (name: string) => Promise<PropertyMap>;

/** The package `pulumi`, which is the engine's own: references to other stacks, and the stash. */
export function pulumiProvider(readStack: ReadStack): Provider {
  const reference = async (name: PropertyValue = null): Promise<PropertyMap> => {
    const text = name instanceof Secret ? name.element : name;
    if (typeof text !== "string" || text === "") throw new Error("A stack reference needs the other stack's name.");
    const outputs = await readStack(text);
    const secret = Object.keys(outputs).filter((key) => containsSecret(outputs[key] ?? null));
    return { name, outputs, secretOutputNames: secret.sort() };
  };
  return {
    supportsPreview: true,
    acceptsSecrets: true,
    async check({ type, news }): Promise<CheckResult> {
      const wanted = INPUT[type];
      if (wanted === undefined) return refused(`The type ${type} is not known.`);
      const extra = Object.keys(news).filter((key) => key !== wanted);
      if (extra.length > 0) return refused(`The property ${extra.join(", ")} is not known.`);
      if (news[wanted] === undefined) return { inputs: news, failures: [{ property: wanted, reason: "is missing" }] };
      return { inputs: news, failures: [] };
    },
    async diff({ type, oldInputs, news }) {
      const key = INPUT[type] as string;
      const changed = equalValues(oldInputs[key] ?? null, news[key] ?? null) ? [] : [key];
      return {
        changes: changed.length > 0 ? "some" : "none",
        changedKeys: changed,
        replaceKeys: type === STACK_REFERENCE ? changed : [],
        deleteBeforeReplace: false,
      };
    },
    async create({ type, inputs, preview }) {
      const id = preview ? "" : randomUUID();
      if (type === STASH) return { id, outputs: { input: inputs.input ?? null, output: inputs.input ?? null } };
      return { id, outputs: await reference(inputs.name) };
    },
    // A stash keeps what it was given first, until it is replaced.
    async update({ news, oldOutputs }) {
      return { outputs: { input: news.input ?? null, output: oldOutputs.output ?? null } };
    },
    async delete() {},
    async read({ type, id, inputs, outputs }) {
      if (type !== STACK_REFERENCE) return { id, inputs, outputs };
      return { id, inputs, outputs: await reference(inputs.name) };
    },
    async invoke(token, args) {
      if (token === "pulumi:pulumi:readStackOutputs") return { result: await reference(args.name), failures: [] };
      throw notCovered(`The function ${token}`);
    },
    async close() {},
  };
}

function refused(reason: string): CheckResult {
  return { inputs: {}, failures: [{ property: "", reason }] };
}
