import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Assembly } from "../../stacks/assembly.ts";
import { cache, workspace } from "../../stacks/docker/place.ts";
import { packagesInputs, pythonInputs, sourcesInputs, wheelsInputs } from "../../stacks/inputs.ts";
import { modelsInputs } from "../../stacks/models.ts";
import type { Settings } from "../../stacks/schema.ts";
import { commonInputs, renderInputs, type StepInputs } from "../../stacks/step.ts";
import { root } from "./paths.ts";

const webui = join(root, "images", "webui");
const scripts = join(root, "scripts", "host");

/**
 * Writes the build context of images/webui: the Dockerfile, the host's scripts, and what each step is told. Nothing in it is secret:
 * no password, no token, and no proxy, which a build has by its own arguments.
 * @param folder made anew
 * @param models whether the models are baked in too
 */
export function writeContext(folder: string, settings: Settings, assembly: Assembly, models: boolean): void {
  rmSync(folder, { recursive: true, force: true });
  for (const name of ["bin", "inputs"]) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ["Dockerfile", "lay.sh"]) copyFileSync(join(webui, name), join(folder, name));
  for (const name of readdirSync(scripts).filter((file) => /\.(sh|py)$/.test(file)))
    copyFileSync(join(scripts, name), join(folder, "bin", name));
  for (const [script, inputs] of Object.entries(steps(settings, assembly, models))) {
    const { proxy_secret: _, ...known } = inputs;
    const told = { ...known, proxy: "", ...commonInputs(script, { workspace, cache }) };
    writeFileSync(join(folder, "inputs", script), renderInputs(told as Record<string, string | number | string[]>));
  }
}

function steps({ host }: Settings, assembly: Assembly, models: boolean): Record<string, StepInputs> {
  const { pypi } = assembly.upstreams;
  const { supervisorLock, gateLock } = assembly.wheels;
  const prepare = { prepare: "yes", pypi };
  return {
    "00-workspace.sh": { owner: "" },
    "20-packages.sh": packagesInputs(host, assembly),
    "30-python.sh": pythonInputs(host, assembly),
    "40-sources.sh": sourcesInputs(host, assembly),
    "50-wheels.sh": wheelsInputs(host, assembly),
    ...(models ? { "60-models.sh": modelsInputs(host, assembly) } : {}),
    "80-service.sh": { ...prepare, supervisor_lock: supervisorLock },
    ...(gateLock ? { "85-gate.sh": { ...prepare, gate_lock: gateLock } } : {}),
  };
}
