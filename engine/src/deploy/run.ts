import type { EngineEvent } from "../events.ts";
import { SecretFilter } from "../masking.ts";
import type { EngineOptions, UpdateResult } from "../options.ts";
import type { Project } from "../project.ts";
import { versionFault } from "../pulumiVersion.ts";
import { EventSink } from "./eventSink.ts";
import type { Import } from "./import.ts";
import { maskGrpcLog } from "./monitor/grpcLog.ts";
import type { Kind } from "./operation.ts";
import { Targeting } from "./plan/targets.ts";
import { locateProgram } from "./program/location.ts";
import { definedOnly, type ProgramProcess } from "./program/process.ts";
import { ServedProgram } from "./program/servedProgram.ts";
import { parsed, Stack, type StackConfig } from "./stack.ts";

const AUTONAMING = "pulumi:autonaming";

/** What an operation has before its engine is loaded. */
export interface Begun {
  project: Project;
  /** The program's process, which loads the SDK; where the operation runs the program. */
  prepared: ProgramProcess | undefined;
  imports: Import[];
}

/** One operation, from lock to unlock. Mistakes in settings, project or state are thrown; what fails while it runs is in the result. */
export async function run(
  kind: Kind,
  options: EngineOptions,
  { project, prepared, imports }: Begun,
): Promise<UpdateResult> {
  const started = Date.now();
  const targeting = new Targeting(options);
  const preview = kind === "preview" || options.preview === true;
  const events = new EventSink(options.onEvent ?? ((_: EngineEvent) => {}), new SecretFilter(), preview);
  const stack = await Stack.open(
    { ...options, project },
    { lock: !preview, tell: (message) => events.diagnostic({ severity: "warning", message }) },
  );
  let session: ServedProgram | undefined;
  const endMask = maskGrpcLog((text) => events.filter.apply(text));
  try {
    stack.tellSecrets(events.filter);
    events.emit({ preludeEvent: { config: shownConfig(stack.config) } });
    requireVersion(stack);
    const location = locateProgram(stack.project.dir, stack.project.main);
    const env = definedOnly(options.env);
    const runsProgram = kind === "preview" || kind === "up";
    if (runsProgram) {
      requireConfig(stack);
      requireOwnNames(stack);
    }
    // Before the engine loads: then hardly anything else gets its turn.
    const { state } = await stack.loading({ write: !preview });
    if (runsProgram) {
      session = await ServedProgram.start({ stack, location, options, prepared, preview, events });
    }
    // Only now, beside the program's own start: what the operation needs takes as long to load as half of the SDK.
    const { carryOut } = await import("./operation.ts");
    return await carryOut({
      kind,
      options,
      preview,
      stack,
      state,
      session,
      location,
      env,
      targeting,
      imports,
      events,
      started,
    });
  } catch (error) {
    throw events.masked(error);
  } finally {
    await session?.stop();
    await stack.close();
    events.end();
    endMask();
  }
}

/** @throws when Pulumi.yaml wants another version of Pulumi than this engine stands for */
function requireVersion({ project }: Stack): void {
  const fault = project.requiredVersion === undefined ? undefined : versionFault(project.requiredVersion);
  if (fault !== undefined) throw new Error(`requiredPulumiVersion in ${project.dir}/Pulumi.yaml: ${fault}`);
}

/** @throws with every setting that Pulumi.yaml declares and the stack lacks, or has of another type */
function requireConfig({ name, configFaults }: Stack): void {
  if (configFaults.length === 0) return;
  const list = configFaults.map((fault) => `  - ${fault}`).join("\n");
  throw new Error(`The settings of the stack "${name}" are not what Pulumi.yaml declares:\n${list}`);
}

/** @throws when the settings want other names for what the program leaves nameless than this engine would give */
function requireOwnNames({ config }: Stack): void {
  const setting = config[AUTONAMING];
  if (setting === undefined || namesAsUsual(parsed(setting.value))) return;
  throw new Error(
    `The setting "${AUTONAMING}" is not covered by the embedded engine, but for "mode: default". Run this stack with the official CLI: --engine pulumi.`,
  );
}

/** `mode: default`, for all and for each package and type that is named. */
function namesAsUsual(naming: unknown): boolean {
  if (typeof naming !== "object" || naming === null || Array.isArray(naming)) return false;
  const { mode = "default", providers = {}, resources = {}, ...more } = naming as Record<string, unknown>;
  if (mode !== "default" || Object.keys(more).length > 0) return false;
  return [...Object.values(providers ?? {}), ...Object.values(resources ?? {})].every(namesAsUsual);
}

function shownConfig(config: StackConfig): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).map(([key, { value, secret }]) => [key, secret ? "[secret]" : value]),
  );
}
