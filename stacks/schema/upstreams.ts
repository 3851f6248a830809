import { z } from "zod";
import { baseUrl, commit, openUrl, repositoryPath } from "./words.ts";

export const upstreamsSchema = z.strictObject({
  /** `auto`: the host measures and takes the fastest. `offline`: only what is in the host's cache. */
  profile: z.enum(["direct", "china", "auto", "offline", "rehearsal"]).default("direct"),
  /** Base URLs, in order; each list replaces the profile's. */
  git: z.array(baseUrl).min(1).optional(),
  /** `default`: the client's own index. */
  pypi: z
    .array(z.union([z.literal("default"), openUrl]))
    .min(1)
    .optional(),
  huggingface: z.array(baseUrl).min(1).optional(),
  modelscope: z.array(baseUrl).min(1).optional(),
  /** For hosts whose Python is neither 3.10 nor 3.11: where conda, or uv, gets one. */
  condaMirror: openUrl.optional(),
  uvPythonMirror: openUrl.optional(),
  apt: openUrl.optional(),
  /** Registry mirrors in front of Docker's own. */
  docker: z.array(openUrl).min(1).optional(),
});

export const sourceOverrideSchema = z.strictObject({
  commit: commit.optional(),
  /** Repository paths under the git upstreams, tried in order. */
  paths: z.array(repositoryPath).min(1).optional(),
});

export type UpstreamSettings = z.infer<typeof upstreamsSchema>;
