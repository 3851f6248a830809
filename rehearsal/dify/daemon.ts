import { join } from "node:path";
import { parseArgs } from "node:util";
import { readJson } from "../lib/files.ts";
import { serveLanguageModel } from "../llm/server.ts";
import { configOf } from "./config.ts";
import { Dify } from "./dify.ts";
import { serveDify } from "./server.ts";

/** The process behind `startDify`: serves until SIGTERM, and tells its parent once how that began. */

export type Told = { port: number; modelPort: number } | { error: string };

/** `settings.json`: what the process is not told by its command line, which others can read. */
export interface DaemonSettings {
  variables: Record<string, string>;
  modelKey: string;
  modelName: string;
}

const { values } = parseArgs({
  options: {
    dir: { type: "string", default: "" },
    port: { type: "string", default: "0" },
    "model-port": { type: "string", default: "0" },
    fingerprint: { type: "string", default: "" },
  },
});

async function main(): Promise<Told> {
  try {
    const settings = readJson<DaemonSettings>(join(values.dir, "settings.json"));
    if (!settings) throw new Error(`no settings.json in ${values.dir}`);
    const language = await serveLanguageModel({
      keys: [settings.modelKey],
      models: [settings.modelName],
      port: Number(values["model-port"]),
    });
    const dify = new Dify(values.dir, configOf(settings.variables), values.fingerprint);
    const { server, port } = await serveDify(dify, { port: Number(values.port) });
    process.once("SIGTERM", () => {
      for (const each of [server, language.server]) {
        each.close();
        each.closeAllConnections();
      }
      process.exit(0);
    });
    return { port, modelPort: language.port };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

const told = await main();
process.send?.(told, () => {
  process.disconnect();
  if ("error" in told) process.exit(1);
});
