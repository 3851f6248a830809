import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A Docker engine and what lets in there. */
export interface EngineLogin {
  /** unix:///path, ssh://user@host:port, tcp://host:port */
  host: string;
  /** PEM, for tcp:// with TLS. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

/**
 * The login of an engine with its certificates as text: a folder of this machine has no place in the plan.
 * @param key of the setting that names the folder, for the mistakes that are added to the list
 */
export function engineLogin(
  { host, certPath }: { host: string; certPath?: string | undefined },
  key: string,
  mistakes: string[],
): EngineLogin {
  if (!certPath) return { host };
  const read = (name: string) => readText(join(certPath, name), key, mistakes);
  return { host, ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}

/** A file that a setting names; empty, and a mistake more, where it can't be read. */
export function readText(path: string, key: string, mistakes: string[]): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    mistakes.push(`${key}: ${path} can't be read (${(error as NodeJS.ErrnoException).code ?? error})`);
    return "";
  }
}
