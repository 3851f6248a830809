import { readFileSync } from "node:fs";
import { Session } from "node:inspector";
import { createRequire, Module } from "node:module";
import { join, resolve } from "node:path";

const SOURCE_MAPS = "source-map-support/register";
/** `program.ts` tells what it means. */
const EXIT_APPLY_WAITS = 33;
let sdk;

/**
 * Prepares this process for a script of the SDK: leaves out what most programs load, or send, and never use.
 * Each part stands alone, and does nothing where the SDK at hand has no such module.
 */
export function quickStart(script) {
  sdk = createRequire(script);

  // The SDK installs source-map-support, which then reads the SDK's own source maps for the stack that it keeps of every
  // property of every resource: half of a program's time, for positions that only its authors need. Programs run as they
  // are written (types are stripped in place), so a stack without maps says where they went wrong; but for `mapped` ones.
  standIn(SOURCE_MAPS, {});

  // Packages that only the serialization of functions needs: loaded when one of their members is asked for.
  lateFunction("@npmcli/arborist");
  lateFunction("normalize-package-data");
  late("../../typescript-shim");
  // For it alone, too, the program is debugged from its start on: to know which file a function is from.
  late("../../runtime/closure/v8Hooks", { isInitializedAsync: async () => {} }, withEarlierScripts);

  // Packages for what few programs have: resources given as values, options for ts-node, a manifest in YAML.
  late("semver");
  late("js-yaml");

  // Programs that run programs are rare.
  late("../../automation");

  // OpenTelemetry but for its interface, whose spans record nothing, where nothing is traced.
  if (process.env.TRACEPARENT === undefined) {
    const newSpan = (name) => sdk("@opentelemetry/api").trace.getTracer("nodejs-runtime").startSpan(name);
    standIn("./tracing", { __esModule: true, start() {}, stop() {}, newSpan });
  }

  // The SDK tells of each registration in five debug messages, one call after the other; a program ends after the last of them.
  if (process.env.ENGINE_DEBUG !== "1") patch("../../log", "debug", () => () => Promise.resolve());

  if (found("../../runtime/state")) {
    const waiting = countedApplies();
    patch("../../runtime/settings", "signalAndWaitForShutdown", (signal) => unlessPending(signal, waiting));
  }

  // It also keeps where each of some twenty promises a resource was made, for whoever looks for one that never settles.
  if (!process.env.PULUMI_DEBUG_PROMISE_LEAKS && found("../../runtime/state"))
    patch("../../runtime/debuggable", "debuggablePromise", counted);
}

/** A program that was compiled from another text is told of in that one's lines. To be called before the SDK's script runs. */
export function mapped(entry) {
  if (entry !== undefined && hasSourceMap(entry)) delete Module._cache[found(SOURCE_MAPS)];
}

function hasSourceMap(entry) {
  try {
    const path = createRequire(join(process.cwd(), "package.json")).resolve(resolve(entry));
    return /\.[cm]?js$/.test(path) && /^\/\/[#@] sourceMappingURL=/m.test(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
}

/** Of the promises that never settle, a program's end tells the number: these are counted as the SDK counts them, and no more. */
function counted(debuggable) {
  const { getStore } = sdk("../../runtime/state");
  // The first call has the count told at the end.
  let first = true;
  return (promise, context) => {
    const pending = getStore?.().leakCandidates;
    if (first || !(pending instanceof Set)) {
      first = false;
      return debuggable(promise, context);
    }
    pending.add(promise);
    return promise.then(
      (value) => {
        pending.delete(promise);
        return value;
      },
      (error) => {
        pending.delete(promise);
        error.promise = promise;
        throw error;
      },
    );
  };
}

/**
 * "All is registered" is not said of a program that ends while a registration or an `apply` still waits for a promise that never
 * settles: what was registered before, and would have been again behind it, would be deleted for it.
 */
function unlessPending(signal, waiting) {
  const { getStore } = sdk("../../runtime/state");
  return async () => {
    // The SDK fails such a program a moment later.
    if (getStore?.().pendingResourceRegistrations?.size > 0) return;
    if (waiting() === 0) return signal();
    process.exitCode = EXIT_APPLY_WAITS;
  };
}

/** How many callbacks of `apply` wait for their output. */
function countedApplies() {
  const { prototype } = sdk("../../output").Output;
  const { apply } = prototype;
  let waiting = 0;
  const settled = () => {
    waiting--;
  };
  prototype.apply = function (...args) {
    waiting++;
    this.isKnown.then(settled, settled);
    return apply.apply(this, args);
  };
  return () => waiting;
}

function standIn(request, exports) {
  const path = found(request);
  if (path === undefined || Module._cache[path] !== undefined) return;
  const module = new Module(path);
  module.filename = path;
  module.loaded = true;
  module.exports = exports;
  Module._cache[path] = module;
}

/** V8 names the scripts of before to whoever listens when debugging is enabled; the SDK listens a moment too late for them. */
function withEarlierScripts(hooks) {
  const urls = new Map();
  const session = new Session();
  session.connect();
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  session.post("Debugger.enable");
  return { ...hooks, getScriptUrl: (id) => urls.get(id) ?? hooks.getScriptUrl(id) };
}

/**
 * @param own members that are there without the module
 * @param changed what becomes of its exports
 */
function late(request, own = {}, changed = (exports) => exports, target = {}) {
  const path = found(request);
  let loaded;
  const real = () => {
    if (loaded === undefined) {
      delete Module._cache[path];
      loaded = changed(sdk(path));
    }
    return loaded;
  };
  const module = new Proxy(
    // Whoever imports it takes a module of ES form as it is, without asking for every member.
    Object.assign(target, { __esModule: true, ...own }),
    {
      get: (there, name) => (Object.hasOwn(there, name) ? there[name] : name === "default" ? real() : real()[name]),
      apply: (_, that, args) => Reflect.apply(real(), that, args),
      construct: (_, args, made) => Reflect.construct(real(), args, made === module ? real() : made),
      has: (_, name) => name in real(),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor: (_, name) => {
        const descriptor = Reflect.getOwnPropertyDescriptor(real(), name);
        return descriptor && { ...descriptor, configurable: true };
      },
    },
  );
  standIn(request, module);
}

/** The same of a package that is itself a function or a class. */
function lateFunction(request) {
  // A bound one can be called and made objects of, and has no member that would have to be shown for it.
  const target = class {}.bind();
  delete target.name;
  delete target.length;
  late(request, {}, undefined, target);
}

function patch(request, name, make) {
  const path = found(request);
  const module = path === undefined ? {} : sdk(path);
  if (typeof module[name] === "function") module[name] = make(module[name]);
}

function found(request) {
  try {
    return sdk.resolve(request);
  } catch {
    return undefined;
  }
}
