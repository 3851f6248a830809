import { createRequire, Module } from "node:module";
import { inspect, types } from "node:util";

/** How often a program that has failed may find more to do when it has come to its end. */
const MORE_ENDS = 2;

/**
 * Makes an Error of whatever else the code of dynamic resources throws: to `undefined`, or a text, the SDK's script gives no answer at
 * all, for which the engine would wait for good. To be called before that script runs.
 */
export function errorsAlone(script) {
  const sdk = createRequire(script);
  const path = sdk.resolve("require-from-string");
  const load = sdk(path);
  Module._cache[path].exports = (...args) => {
    const { handler, ...others } = load(...args);
    return { ...others, handler: () => guarded(handler()) };
  };
}

/**
 * The same of what a program throws or rejects with: at `undefined` and `null` the SDK's own handlers fail, of other objects they
 * tell `[object Object]`.
 */
export function errorsOfProgram() {
  const { emit } = process;
  // One for each: every promise in a chain rejects with what was thrown, and the SDK tells the same Error once.
  const made = new Map();
  let failed = false;
  let ends = 0;
  process.emit = (event, thrown, ...rest) => {
    const uncaught = event === "uncaughtException" || event === "unhandledRejection";
    failed ||= uncaught;
    // Telling of an error is work for the loop, after whose end a handler of `beforeExit` that throws throws again, for ever.
    if (event === "beforeExit" && failed && ++ends > MORE_ENDS) process.exit();
    if (!uncaught || !isSilent(thrown)) return emit.call(process, event, thrown, ...rest);
    // Where it was thrown is not known; a stack would tell of this file.
    if (!made.has(thrown)) made.set(thrown, Object.assign(asError(thrown), { stack: "" }));
    return emit.call(process, event, made.get(thrown), ...rest);
  };
}

const isSilent = (thrown) =>
  (thrown ?? null) === null || (typeof thrown === "object" && !thrown.stack && !thrown.message);

const guarded = (provider) =>
  new Proxy(provider, {
    get(target, name) {
      const method = target[name];
      if (typeof method !== "function") return method;
      return async (...args) => {
        try {
          return await method.apply(target, args);
        } catch (thrown) {
          throw types.isNativeError(thrown) ? thrown : asError(thrown);
        }
      };
    },
  });

/** With the members that an object has: an `id` says that the resource is there all the same. */
function asError(thrown) {
  if (typeof thrown === "string") return new Error(thrown);
  const { message } = Object(thrown);
  const text = typeof message === "string" ? message : `Its code threw ${inspect(thrown)}, which is no Error.`;
  return Object.assign(new Error(), thrown, { message: text });
}
