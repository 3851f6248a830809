import type { ResourceState } from "../resource.ts";
import { createUrn, STACK_TYPE } from "../urn.ts";
import type { Deployment } from "./deployment.ts";
import { bareGoal, Refusal } from "./plan/goal.ts";
import { isProviderType, packageOf, providerType } from "./plan/references.ts";
import { missingMessage } from "./plan/targets.ts";

/** Something that is there already and is to be taken over. */
export interface Import {
  type: string;
  name: string;
  /** As its provider knows it. */
  id: string;
  /** URN of one in the state. @default the stack */
  parent?: string;
  /** URN of a provider in the state. @default the package's default provider */
  provider?: string;
  /** Version of the package's default provider, where there is none yet. @default none */
  version?: string;
  /** Keeps it from being deleted until the program says otherwise. @default true */
  protect?: boolean;
}

/** Reads what is there into the state, without the program. @throws Refusal when a name or a URN doesn't fit the state */
export async function importAll(deployment: Deployment, imports: Import[]): Promise<void> {
  const stackUrn = await ensureStack(deployment);
  const states: { state: ResourceState; id: string }[] = [];
  for (const one of imports) {
    const { type, name, id, parent = stackUrn } = one;
    if (type.split(":").length !== 3 || isProviderType(type)) {
      throw new Refusal(`"${type}" is no type of a resource that can be imported: it reads package:module:Name.`);
    }
    if (parent !== stackUrn && !deployment.olds.has(parent))
      throw new Refusal(missingMessage([parent], deployment.olds.keys()));
    const urn = createUrn(deployment.stack, deployment.project, parent, type, name);
    const old = deployment.olds.get(urn);
    // Imported by a run before, which failed at a later one.
    if (old !== undefined && !old.external && (old.importID || old.id) === id) continue;
    if (old !== undefined)
      throw new Refusal(`${urn} is in the state already, with the id "${old.id}". Import it under another name.`, urn);
    if (states.some(({ state }) => state.urn === urn)) throw new Refusal(`${urn} is to be imported twice.`, urn);
    states.push({
      id,
      state: {
        urn,
        type,
        custom: true,
        id: "",
        inputs: {},
        outputs: {},
        parent,
        provider: await providerOf(deployment, one, urn),
        dependencies: [],
        propertyDependencies: {},
        protect: one.protect ?? true,
      },
    });
  }
  for (const { state, id } of states) {
    await deployment.perform([{ op: "import", urn: state.urn, type: state.type, new: state, importId: id }]);
    await warnOfFailures(deployment, state);
  }
}

/** The stack's own resource, which all others have as their parent, where no update has made it yet. */
async function ensureStack(deployment: Deployment): Promise<string> {
  const { stack, project } = deployment;
  const name = `${project}-${stack}`;
  const urn = createUrn(stack, project, undefined, STACK_TYPE, name);
  if (!deployment.olds.has(urn)) await deployment.register(bareGoal(STACK_TYPE, name, false));
  return urn;
}

async function providerOf(
  deployment: Deployment,
  { type, provider, version = "" }: Import,
  urn: string,
): Promise<string> {
  const pkg = packageOf(type);
  const wanted = providerType(pkg);
  const there = deployment.resources.filter((state) => state.type === wanted && !state.delete);
  if (provider === undefined) {
    // The youngest: an update has made it last.
    const known = there.findLast(({ urn }) => urn.includes(`::${wanted}::default`));
    return known === undefined ? deployment.defaultProvider(pkg, version, "", urn) : `${known.urn}::${known.id}`;
  }
  const found = there.find(({ urn }) => urn === provider);
  if (found === undefined) throw new Refusal(`${provider} is no provider of the package "${pkg}" in the state.`);
  return `${found.urn}::${found.id}`;
}

/** What the provider read it may still find wrong: it is imported all the same, and its user told. */
async function warnOfFailures(deployment: Deployment, state: ResourceState): Promise<void> {
  const provider = await deployment.provider(state.provider ?? "");
  const { failures } = await provider.check({
    ...deployment.context(state.urn),
    olds: state.inputs,
    news: state.inputs,
    randomSeed: new Uint8Array(32),
  });
  for (const { property, reason } of failures) {
    const what = property === "" ? reason : `${property}: ${reason}`;
    deployment.tell("warning", `Imported, but not valid as it is: ${what}`, state.urn);
  }
}
