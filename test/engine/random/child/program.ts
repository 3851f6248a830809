export * from "../../../../engine/src/deploy/program/program.ts";
export { prepareProgram, startProgram } from "../inProcessProgram.ts";
