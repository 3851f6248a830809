import { z } from "zod";
import { port } from "./words.ts";

/** The reverse proxy before the WebUI. */
export const gateSchema = z.strictObject({
  enabled: z.boolean().default(true),
  /** Where the WebUI listens then, on loopback. @default 10000 above `port`, from 20000 on 10000 below it */
  innerPort: port.optional(),
  /** Drawing calls that may wait for the one that is drawn; the next is sent away with 503. */
  queue: z.number().int().min(0).max(1000).default(16),
  /** Seconds after which Dify's tool gets an answer, whatever it is: it gives up at 120. Others say it by a header. 0: never. */
  deadline: z.number().int().min(0).max(3600).default(110),
  /** Whether a picture that nobody waits for any more is broken off. */
  interrupt: z.boolean().default(true),
});

/** A gate that is on, with every default filled in. */
export type Gate = Required<Omit<z.infer<typeof gateSchema>, "enabled">>;

interface Asked {
  gate?: boolean | z.infer<typeof gateSchema> | undefined;
  exposure: "direct" | "tunnel";
  port: number;
}

/** The gate of these settings, or none: without a word it is on where anyone can reach the WebUI. */
export function gateOf({ gate, exposure, port }: Asked): Gate | undefined {
  const asked = typeof gate === "object" ? gate : gateSchema.parse({ enabled: gate ?? exposure === "direct" });
  const { enabled, innerPort = beside(port), ...rest } = asked;
  return enabled ? { innerPort, ...rest } : undefined;
}

/** Out of the ports that systems give to outgoing connections, for the usual ones. */
const beside = (outer: number) => (outer < 20_000 ? outer + 10_000 : outer - 10_000);
