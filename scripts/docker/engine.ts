import { Engine } from "@atelier/engine/providers/docker/client/engine";
import { readSettings } from "@atelier/engine/providers/docker/client/settings";
import type { EngineLogin } from "./input.ts";

/** A line for people, on standard error. */
export type Say = (line: string) => void;

/** What one run of this program knows. */
export interface Call {
  engine: Engine;
  signal: AbortSignal;
  say: Say;
}

/** The engine as a docker.Provider with these inputs has it. */
export function openEngine({ host, ca, cert, key }: EngineLogin): Engine {
  return new Engine(
    readSettings({ host, ...(ca ? { caMaterial: ca, certMaterial: cert ?? "", keyMaterial: key ?? "" } : {}) }),
  );
}

/** What the embedded engine's own functions want to know of a call. */
export const callOf = ({ engine, signal, say }: Call, onLine: Say = say) => ({
  engine,
  signal,
  name: "",
  programDir: process.cwd(),
  log: ({ text }: { text: string }) => onLine(text),
});
