import type { CallContext } from "../../../provider.ts";
import type { PropertyMap } from "../../../values.ts";
import type { Engine } from "../client/engine.ts";

/** What one call knows, and the engine that it is for. */
export interface Call extends Pick<CallContext, "signal" | "log" | "name"> {
  engine: Engine;
  /** The program's folder: relative paths are relative to it. */
  programDir: string;
}

/** What was found of a resource: its id, and the outputs that the engine knows. */
export interface Found {
  id: string;
  seen: PropertyMap;
}

/** One resource type, as the provider calls it. Inputs and outputs are plain: without secret marks. */
export interface Handler {
  create(inputs: PropertyMap, call: Call): Promise<Found>;
  /** For what can change without a new resource; absent: nothing of it has to be told to the engine. */
  update?(id: string, news: PropertyMap, outputs: PropertyMap, call: Call): Promise<void>;
  /** What is gone already is no failure. */
  delete(id: string, outputs: PropertyMap, call: Call): Promise<void>;
  /** Undefined: it is gone. `outputs` is what the state says; empty for an import. */
  read(id: string, outputs: PropertyMap, call: Call): Promise<Found | undefined>;
}
