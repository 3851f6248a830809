import { createRequire, Module } from "node:module";

// Preloaded into child processes. The SDK installs source-map-support, which then reads the SDK's own source maps for the
// stack that it keeps of every property of every resource: half of a program's time, for positions that only its authors
// need. Programs run as they are written (types are stripped in place), so a stack without maps says where they went wrong.
try {
  const path = createRequire(process.argv[1]).resolve("source-map-support/register");
  const inert = new Module(path);
  inert.filename = path;
  inert.loaded = true;
  Module._cache[path] = inert;
} catch {
  // A script without it has nothing to leave out.
}
