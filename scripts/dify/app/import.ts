import { atelier } from "../../../healthchecks/hint.ts";
import type { Console } from "../client.ts";
import { DifyError } from "../errors.ts";
import type { Say } from "../wait.ts";
import { type Dsl, writeDsl } from "./dsl.ts";

interface Import {
  id: string;
  status: "completed" | "completed-with-warnings" | "pending" | "failed";
  app_id: string | null;
  app_mode: string | null;
  current_dsl_version: string;
  imported_dsl_version: string;
  error: string;
}
interface Leaked {
  type: string;
  value: Record<string, unknown>;
  current_identifier: string | null;
}

/**
 * Imports an app, a new one or over a flow that is there, and confirms it where Dify asks.
 * @param over id of the flow to write over; its mode was compared before, for Dify does not
 * @returns the app's id
 * @throws DifyError for an import that failed, and for plugins that the app would miss
 */
export async function importApp(console: Console, dsl: Dsl, over: string | undefined, say: Say): Promise<string> {
  const body = { mode: "yaml-content", yaml_content: writeDsl(dsl), ...(over ? { app_id: over } : {}) };
  let made = await console.post<Import>("/apps/imports", body, { seconds: 60 });
  if (made.status === "pending") {
    // A file of a newer minor version than Dify's; it has ten minutes.
    say(`Dify ${made.current_dsl_version} asks about a file of version ${made.imported_dsl_version}: confirmed`);
    made = await console.post<Import>(`/apps/imports/${made.id}/confirm`, {}, { seconds: 60 });
  }
  if (made.status === "failed" || !made.app_id)
    throw new DifyError(
      `Dify did not import the app \`${dsl.app.name}\`: ${console.masker.mask(made.error) || made.status}.`,
    );
  if (made.status === "completed-with-warnings")
    say(`the app's file is of version ${made.imported_dsl_version}, Dify's is ${made.current_dsl_version}`);
  if (made.app_mode && made.app_mode !== dsl.app.mode)
    throw new DifyError(`Dify imported \`${dsl.app.name}\` as ${made.app_mode}, not as ${dsl.app.mode}.`);
  await refuseLeaks(console, made.app_id, dsl.app.name);
  return made.app_id;
}

/** A plugin that is missing fails no import; the app just does not work. */
async function refuseLeaks(console: Console, appId: string, name: string): Promise<void> {
  const { leaked_dependencies: leaked } = await console.get<{ leaked_dependencies: Leaked[] }>(
    `/apps/imports/${appId}/check-dependencies`,
  );
  if (leaked.length === 0) return;
  const lines = leaked.map(({ value, current_identifier: there }) => {
    const wanted =
      value.marketplace_plugin_unique_identifier ?? value.plugin_unique_identifier ?? JSON.stringify(value);
    return `${wanted} (${there ? `installed is ${there}` : "not installed"})`;
  });
  throw new DifyError(
    `The app \`${name}\` is at ${console.url}, but misses ${lines.length === 1 ? "a plugin" : "plugins"}: ${lines.join(", ")}. The next ${atelier("up")} installs what is missing.`,
  );
}
