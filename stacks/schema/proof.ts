import { z } from "zod";

const side = z.number().int().min(64).max(2048).multipleOf(8);

/** What is not set here is what `webui` sets; the defaults of the two are in smoke.ts. */
export const proofSchema = z.strictObject({
  width: side.optional(),
  height: side.optional(),
  steps: z.number().int().min(1).max(150).optional(),
  sampler: z.string().min(1).optional(),
  /** Width and height of the SDXL picture, where there is an SDXL checkpoint. */
  sdxlSide: side.default(1024),
  /** Seconds that one picture may take. */
  timeout: z.number().int().min(10).default(600),
});
