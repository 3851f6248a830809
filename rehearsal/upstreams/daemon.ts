import { parseArgs } from "node:util";
import { serve } from "./server.ts";

/** The process behind `startUpstreams`: serves until SIGTERM, and tells its parent once how that began. */

export type Told = { port: number; content: Awaited<ReturnType<typeof serve>>["content"] } | { error: string };

const { values } = parseArgs({
  options: {
    dir: { type: "string", default: "" },
    cache: { type: "string", default: "" },
    port: { type: "string", default: "0" },
    fingerprint: { type: "string", default: "" },
  },
});

async function main(): Promise<Told> {
  try {
    const { server, port, content } = await serve({
      dir: values.dir,
      cacheDir: values.cache,
      port: Number(values.port),
      fingerprint: values.fingerprint,
    });
    process.once("SIGTERM", () => {
      server.close();
      server.closeAllConnections();
      process.exit(0);
    });
    return { port, content };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

const told = await main();
process.send?.(told, () => {
  process.disconnect();
  if ("error" in told) process.exit(1);
});
