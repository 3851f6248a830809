import { z } from "zod";
import { CheckFailed } from "../failure.ts";
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
  const leaks: string[] = [];
  let commit: string | undefined;
  for (const path of paths) {
    const { status, text } = await session.stranger(path);
    if (status !== 200) continue;
    open.push(path);
    if (secrets.some((secret) => text.includes(secret))) leaks.push(path);
    if (path === "/internal/sysinfo") commit = commitOf(text);
  }
  if (leaks.length) {
    throw new CheckFailed(
      `The password can be read by anyone at ${leaks.join(", ")}`,
      "Change the password, and give it to the WebUI by a file, never by --api-auth=… or COMMANDLINE_ARGS",
    );
  }
  const detail = open.length
    ? `Warning: open without a password, with no secret in it: ${open.join(", ")}. A gate before the WebUI would close it.`
    : "Nothing answers without a password.";
  return { detail, commit };
}

function commitOf(text: string): string | undefined {
  try {
    return sysinfo.parse(JSON.parse(text)).Commit;
  } catch {
    return undefined;
  }
}
