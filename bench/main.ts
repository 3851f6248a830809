/** `npm run bench -- <what> [options]`: measurements, none of which the tests wait for. */
const benches: Record<string, () => Promise<{ bench: (args: string[]) => Promise<void> }>> = {
  engine: () => import("./engine.ts"),
  up: () => import("./up.ts"),
  fetch: () => import("./fetch.ts"),
  gate: () => import("./gate.ts"),
  flame: () => import("./engine/flame.ts"),
};

// What a scenario has started ends when this process exits.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const [name = "", ...args] = process.argv.slice(2);
const load = Object.hasOwn(benches, name) ? benches[name] : undefined;
if (load === undefined) {
  process.stderr.write(`Usage: npm run bench -- <${Object.keys(benches).join("|")}> [--runs N]\n`);
  process.exitCode = 2;
} else {
  await (await load()).bench(args);
}
