import "./hiddenVariables.mjs";
import "./quickStart.mjs";

// Preloaded into child processes: they end when the engine does, also when it was killed and could not tell them.
process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdin.resume();
process.stdin.unref?.();
