import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { checkSchema, difySchema, imageKinds, imageSchema, type Proof, webuiSchema } from "./result.ts";

const stepSchema = z.strictObject({
  name: z.string().min(1),
  seconds: z.number().nonnegative(),
  status: z.string().min(1),
});

/** One thing that a step needed: where it came from, and whether it lay in the host's cache. */
export const cacheItemSchema = z.strictObject({
  name: z.string().min(1),
  /** `git`, `wheels`, `model`, `tool` … */
  kind: z.string().min(1),
  bytes: z.number().nonnegative(),
  /** A host or an upstream; `cache`. */
  source: z.string(),
  cached: z.boolean(),
});
const cacheSchema = z.strictObject({
  fetchedBytes: z.number().nonnegative(),
  cachedBytes: z.number().nonnegative(),
  /** Of the steps that fetch, side by side counted each. */
  seconds: z.number().nonnegative(),
  /** What the same steps took on this host when they had to fetch the most. */
  coldSeconds: z.number().nonnegative().optional(),
  items: z.array(cacheItemSchema),
});
export type CacheItem = z.infer<typeof cacheItemSchema>;
export type CacheReport = z.infer<typeof cacheSchema>;

const updateSchema = z.strictObject({
  stack: z.string().min(1),
  engine: z.enum(["embedded", "pulumi"]),
  /** Begin of the update, ISO 8601 in UTC. */
  startedAt: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  steps: z.array(stepSchema),
  /** Of the steps that this update applied; left out where none of them fetches. */
  cache: cacheSchema.optional(),
  /** Of an update that failed: what each step said. `checks`, `images` and `dify` are then of the last proofs, also of those that failed. */
  problems: z.array(z.string().min(1)).optional(),
});

const reportSchema = z.strictObject({
  ...updateSchema.shape,
  /** When the proof ended that `checks` and `images` are of; `live-` checks are of this update. */
  provedAt: z.iso.datetime(),
  webui: webuiSchema,
  checks: z.array(checkSchema),
  images: z.array(imageSchema),
  /** Of a stack with a Dify. */
  dify: difySchema.optional(),
});

/** What an update tells about itself. */
export type Update = z.infer<typeof updateSchema>;
export type Report = z.infer<typeof reportSchema>;

const fileName = "report.json";

/** A report that is not one: the message lists every mistake. */
export class ReportError extends Error {}

/** Reads a report's text. @throws {ReportError} */
export function parseReport(text: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ReportError(`the report is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  return check(value);
}

/** The report in a folder, or nothing where there is none yet. @throws {ReportError} */
export function readReport(reportDir: string): Report | undefined {
  let text: string;
  try {
    text = readFileSync(join(reportDir, fileName), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return parseReport(text);
}

export interface ReportParts {
  reportDir: string;
  update: Update;
  /** The last `smoke`, of this update or, where nothing was proved anew, of an earlier one. */
  proof: Proof;
  /** The last proof of the stack's Dify, where it has one. */
  dify?: Proof | undefined;
  /** The live check that ended this update. */
  live?: Proof;
}

/**
 * Writes `report.json` beside the pictures of its proof and returns it. Pictures that are not (any more) as
 * the proof left them, as in a second clone, are left out; those of older proofs are removed at the end of an update that did not fail.
 * @throws {ReportError} when the parts make no report; then the old one is untouched
 */
export function writeReport({ reportDir, update, proof, dify, live }: ReportParts): Report {
  const images = [...proof.images, ...(dify?.images ?? [])];
  const report = check({
    ...update,
    // The older of the two: both held then.
    provedAt: dify && dify.provedAt < proof.provedAt ? dify.provedAt : proof.provedAt,
    webui: proof.webui,
    checks: [...proof.checks, ...(dify?.checks ?? []), ...(live?.checks ?? [])],
    ...(dify?.dify ? { dify: dify.dify } : {}),
    images: images.filter((image) => sha256Of(join(reportDir, image.path)) === image.sha256),
  });
  mkdirSync(reportDir, { recursive: true });
  const beside = join(reportDir, `.${fileName}.${process.pid}.part`);
  writeFileSync(beside, `${JSON.stringify(report, undefined, 2)}\n`);
  renameSync(beside, join(reportDir, fileName));
  // After a failure there may be pictures of a proof that held in the same update, whose turn comes with the next one.
  if (update.problems === undefined) removeOldPictures(reportDir, new Set(images.map((image) => image.path)));
  return report;
}

/** Removes what earlier proofs left (pictures, and files of a write that was cut), and nothing else. */
function removeOldPictures(reportDir: string, keep: ReadonlySet<string>): void {
  const ours = new RegExp(
    `^(${imageKinds.join("|")})-[0-9a-f]{8}\\.png$|^\\.(${imageKinds.join("|")}|report).*\\.part$`,
  );
  for (const name of readdirSync(reportDir)) {
    if (ours.test(name) && !keep.has(name)) rmSync(join(reportDir, name), { force: true });
  }
}

function sha256Of(path: string): string | undefined {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return undefined;
  }
}

function check(value: unknown): Report {
  const parsed = reportSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".") || "(report)"}: ${issue.message}`);
  throw new ReportError(`the report has ${lines.length} mistake(s):\n${lines.join("\n")}`);
}
