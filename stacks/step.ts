import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { unheard } from "./loginShell.ts";
import type { Host } from "./settings.ts";

const scripts = resolve(import.meta.dirname, "..", "scripts", "host");

/** What a step takes on its standard input; see docs/architecture.md. A list is a line an item, its fields between tabs. */
export type StepInputs = Record<string, pulumi.Input<string | number | string[]>>;

export interface StepArgs {
  host: Host;
  connection: command.types.input.remote.ConnectionArgs;
  /** File name in scripts/host, such as `50-wheels.sh`. */
  script: string;
  inputs: StepInputs;
  /** From host-facts: a new one applies the step again. */
  token: pulumi.Input<string>;
  /** What takes the step away when its script is gone, with the box or by hand. @default nothing */
  removeWithoutScript?: string;
  /** Its inputs hold a secret: nothing that it prints is shown or kept. */
  secret?: boolean;
}

export interface Step {
  /** What later steps depend on. */
  resource: command.remote.Command;
  /** The step's facts, the JSON of its standard output. */
  facts: pulumi.Output<Record<string, unknown>>;
  /** Changes whenever the step is applied again; known before it is. */
  version: pulumi.Output<string>;
}

/** One step on the host: one script, applied again in place whenever its text, its inputs or the host's drift say so. */
export function createStep(name: string, args: StepArgs, opts: pulumi.CustomResourceOptions): Step {
  const { host, script } = args;
  const path = `${host.workspace}/bin/${script}`;
  const common = { ...commonInputs(script, host), token: args.token };
  const stdin = pulumi.output({ ...secretly(args.inputs), ...common }).apply(renderInputs);
  const resource = new command.remote.Command(
    name,
    {
      connection: args.connection,
      create: `sh '${path}' apply`,
      update: `sh '${path}' apply`,
      delete: removal(path, args.removeWithoutScript ?? "exit 0"),
      stdin,
      addPreviousOutputInEnv: false,
      logging: args.secret ? command.remote.Logging.None : command.remote.Logging.Stderr,
    },
    // `up --replace`: the old one's removal, run last, would take what the new one has just made.
    {
      ...opts,
      deleteBeforeReplace: true,
      additionalSecretOutputs: args.secret ? ["stdin", "stdout", "stderr"] : [],
    },
  );
  return {
    resource,
    facts: resource.stdout.apply((text) => factsOf(name, text)),
    // The hash of a secret among many other lines tells nothing of it.
    version: pulumi.unsecret(stdin.apply(sha256)),
  };
}

/** What is named so is secret, wherever it comes from. */
export const secretly = (inputs: StepInputs): StepInputs =>
  Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [
      key,
      key.endsWith("_secret") && value !== "" ? pulumi.secret(value) : value,
    ]),
  );

/** @throws RunError where nothing of the step is in its output: another shell may have taken the inputs for its commands, and ended with 0 */
export function factsOf(name: string, stdout: string): Record<string, unknown> {
  const last = stdout.trim().split("\n").pop() ?? "";
  if (!last.startsWith('{"step":'))
    throw new pulumi.RunError(`${name}: the host said nothing of this step. ${unheard}`);
  return JSON.parse(last) as Record<string, unknown>;
}

/** What every step has besides its own. */
export const commonInputs = (script: string, { workspace, cache }: Pick<Host, "workspace" | "cache">) => ({
  atelier: 1,
  script: scriptHash(script),
  token: "",
  workspace,
  cache,
});

/** Plain words and single quotes: it must mean the same to any login shell. `$0` is the script. */
const removal = (script: string, without: string) =>
  `sh -c 'test -f "$0" && exec sh "$0" remove; ${without}' '${script}'`;

/** sha256 of a script's text and of every script that it names, so that a change of any of them applies the step again. */
function scriptHash(script: string): string {
  const all = readdirSync(scripts).filter((file) => /\.(sh|py)$/.test(file));
  const texts = new Map<string, string>();
  const visit = (file: string) => {
    if (texts.has(file)) return;
    const text = readFileSync(join(scripts, file), "utf8").replaceAll("\r\n", "\n");
    texts.set(file, text);
    for (const other of all) if (text.includes(other)) visit(other);
  };
  visit(script);
  return sha256(
    [...texts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flat()
      .join("\0"),
  );
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** `key=value` lines, sorted; backslash and newline escaped so that `printf '%b'` gives them back. */
export function renderInputs(inputs: Record<string, string | number | string[]>): string {
  return Object.keys(inputs)
    .sort()
    .map((key) => {
      const value = inputs[key] ?? "";
      const text = Array.isArray(value) ? value.join("\n") : String(value);
      return `${key}=${text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`;
    })
    .join("");
}
