export * from "../../../../engine/src/deploy/program/program.ts";
export { startProgram } from "../inProcessProgram.ts";
