/**
 * A process to be killed: the real engine, on the real file system, with the program and the world in this process.
 * The world tells a journal of every change at the moment when it happens, so that it outlives the process.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import type { Errand } from "./errand.ts";

const ENGINE = new URL("../../../../engine/src/", import.meta.url).href;
const instead = new Map([
  [`${ENGINE}deploy/program/program.ts`, new URL("./program.ts", import.meta.url).href],
  ["node:crypto", new URL("./crypto.ts", import.meta.url).href],
]);

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const other = context.parentURL?.startsWith(ENGINE) ? instead.get(found.url) : undefined;
    return other === undefined ? found : next(other, context);
  },
});

const { runErrand } = await import("./errand.ts");
await runErrand(JSON.parse(readFileSync(0, "utf8")) as Errand);
