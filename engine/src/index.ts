export type { EngineEvent, OpType } from "./events.ts";
