import { z } from "zod";
import type { Answer } from "../client.ts";
import { CallFailed, CheckFailed } from "../failure.ts";
import { secretForms } from "../secrets.ts";
import type { Session } from "../session.ts";

// What A1111 answers to strangers even with both of its passwords set, and the files that held secrets elsewhere.
const paths = [
  "/",
  "/docs",
  "/redoc",
  "/openapi.json",
  "/internal/ping",
  "/internal/sysinfo",
  "/internal/sysinfo-download",
  "/internal/pending-tasks",
  "/internal/profile-startup",
  "/internal/quicksettings-hint",
  "/sd_extra_networks/cover-images",
  "/file=config.json",
  "/file=webui-user.sh",
  "/file=credentials",
  "/file=data/credentials",
];

const sysinfo = z.looseObject({ Commit: z.string().regex(/^[0-9a-f]{7,40}$/) });

export interface Exposure {
  detail: string;
  /** The commit that the WebUI says it runs, where it tells. */
  commit: string | undefined;
}

/**
 * Fetches what stays open without a password and searches it for the password. Open is a warning, a secret
 * in it a failure.
 */
export async function checkExposure(session: Session): Promise<Exposure> {
  const secrets = secretForms(session.input.user, session.input.password);
  const open: string[] = [];
  const slow: string[] = [];
  const leaks: string[] = [];
  let commit: string | undefined;
  const answers = await Promise.all(paths.map((path) => fetchOpen(session, path)));
  for (const [index, answer] of answers.entries()) {
    const path = paths[index]!;
    if (answer === "late") slow.push(path);
    if (answer === "late" || answer.status !== 200) continue;
    open.push(path);
    if (secrets.some((secret) => answer.text.includes(secret))) leaks.push(path);
    if (path === "/internal/sysinfo") commit = commitOf(answer.text);
  }
  // Behind a gate it tells only those who have the password.
  commit ??= commitOf(await askSysinfo(session));
  if (leaks.length) {
    throw new CheckFailed(
      `The password can be read by anyone at ${leaks.join(", ")}`,
      "Change the password, and give it to the WebUI by a file, never by --api-auth=… or COMMANDLINE_ARGS",
    );
  }
  const detail = open.length
    ? `Warning: open without a password, with no secret in it: ${open.join(", ")}. A gate before the WebUI would close it.`
    : "Nothing answers without a password.";
  return { detail: slow.length ? `${detail} Not searched, for no answer came: ${slow.join(", ")}.` : detail, commit };
}

async function fetchOpen(session: Session, path: string): Promise<Answer | "late"> {
  // sysinfo asks the system about itself by a dozen programs, which takes a busy machine long.
  const timeout = Math.max(session.input.deadlines.request, path.startsWith("/internal/sysinfo") ? 60 : 0) * 1000;
  try {
    return await session.stranger(path, { timeout });
  } catch (error) {
    if (error instanceof CallFailed && error.problem === "late" && !session.signal.aborted) return "late";
    throw error;
  }
}

async function askSysinfo(session: Session): Promise<string> {
  try {
    return (await session.ask("/internal/sysinfo", { timeout: 60_000 })).text;
  } catch (error) {
    if (error instanceof CallFailed && !session.signal.aborted) return "";
    throw error;
  }
}

function commitOf(text: string): string | undefined {
  try {
    return sysinfo.parse(JSON.parse(text)).Commit;
  } catch {
    return undefined;
  }
}
