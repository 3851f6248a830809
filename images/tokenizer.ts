import { z } from "zod";

const tokenizerSchema = z.strictObject({
  /** `owner/name` on Hugging Face. */
  repository: z.string().regex(/^[\w.-]+\/[\w.-]+$/),
  revision: z.string().regex(/^[0-9a-f]{40}$/),
  files: z
    .array(
      z.strictObject({
        file: z.string().regex(/^[\w.-]+$/),
        bytes: z.number().int().positive(),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1),
});

export type Tokenizer = z.infer<typeof tokenizerSchema>;

/**
 * The tokenizer that every SD1.5 checkpoint needs and none contains; without it the WebUI asks the hub at each first start, and hangs for minutes where the hub is not reached.
 * The first three suffice offline; the other two are asked for besides. vocab.json and merges.txt follow from CLIP's own vocabulary, byte for byte.
 */
export const tokenizer: Tokenizer = tokenizerSchema.parse({
  repository: "openai/clip-vit-large-patch14",
  revision: "32bd64288804d66eefd0ccbe215aa642df71cc41",
  files: [
    { file: "vocab.json", bytes: 961_143, sha256: "3f0c4f7d2086b61b38487075278ea9ed04edb53a03cbb045b86c27190fa8fb69" },
    { file: "merges.txt", bytes: 524_619, sha256: "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a" },
    { file: "config.json", bytes: 4_519, sha256: "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a" },
    {
      file: "special_tokens_map.json",
      bytes: 389,
      sha256: "f8c0d6c39aee3f8431078ef6646567b0aba7f2246e9c54b8b99d55c22b707cbf",
    },
    {
      file: "tokenizer_config.json",
      bytes: 905,
      sha256: "deef455e52fa5e8151e339add0582e4235f066009601360999d3a9cda83b1129",
    },
  ],
});
