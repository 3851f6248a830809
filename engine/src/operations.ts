import type { Import } from "./deploy/import.ts";
import type { Kind } from "./deploy/operation.ts";
import { locateProgram } from "./deploy/program/location.ts";
import { prepareProgram } from "./deploy/program/program.ts";
import type { EngineOptions, UpdateResult } from "./options.ts";

// Little is imported here, and the rest when an operation begins: its program's process starts first, then what that is to load
// is found out, and then the engine loads beside it.

/** Says what `up` would do, and does nothing. */
export function preview(options: EngineOptions): Promise<UpdateResult> {
  return begin("preview", options);
}

/** Makes what the program describes. */
export function up(options: EngineOptions): Promise<UpdateResult> {
  return begin("up", options);
}

/** Makes the state say what is really there. */
export function refresh(options: EngineOptions): Promise<UpdateResult> {
  return begin("refresh", options);
}

/** Reads what is there already into the state, without the program. */
export function importResources(options: EngineOptions, imports: Import[]): Promise<UpdateResult> {
  return begin("import", options, imports);
}

/** Deletes all of the stack's resources, without running the program. */
export function destroy(options: EngineOptions): Promise<UpdateResult> {
  return begin("destroy", options);
}

async function begin(kind: Kind, options: EngineOptions, imports: Import[] = []): Promise<UpdateResult> {
  const prepared = kind === "preview" || kind === "up" ? prepareProgram(options) : undefined;
  try {
    const { loadProject } = await import("./project.ts");
    const project = await loadProject(options.projectDir);
    prepared?.load(project, locateProgram(project.dir, project.main));
    const { run } = await import("./deploy/run.ts");
    return await run(kind, options, { project, prepared, imports });
  } finally {
    await prepared?.stop();
  }
}
