import { z } from "zod";

export const proofSchema = z.strictObject({
  width: z.number().int().min(64).max(2048).multipleOf(8).default(512),
  height: z.number().int().min(64).max(2048).multipleOf(8).default(512),
  steps: z.number().int().min(1).max(150).default(20),
  sampler: z.string().default("Euler a"),
  /** Seconds that one picture may take. */
  timeout: z.number().int().min(10).default(600),
});
