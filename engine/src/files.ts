import { chmod, constants, copyFile, mkdir, rename, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

let counter = 0;

/** Names of files that are being written: they end in `.tmp`, so that nothing takes them for state. */
export const TEMPORARY = /^\..+\.\d+\.\d+\.tmp$/;

/**
 * Writes a file under another name beside it, and then gives it its own: a reader sees the old or the new, never half.
 * @param first what must be done before the file has its name
 */
export async function writeBeside(path: string, content: string | Uint8Array, first?: Promise<void>): Promise<void> {
  await beside(path, async (temporary) => {
    const written = writeFile(temporary, content, { mode: 0o600, flag: "wx" });
    // Both come to their end, so that nothing is still at work on a file that is taken away.
    for (const outcome of await Promise.allSettled([written, first])) {
      if (outcome.status === "rejected") throw outcome.reason;
    }
  });
}

/** Copies a file in the same way, without its content in this process; where the file system can, without copying its blocks. */
export async function copyBeside(from: string, path: string): Promise<void> {
  await beside(path, (temporary) =>
    copyFile(from, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).then(() => chmod(temporary, 0o600)),
  );
}

async function beside(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${++counter}.tmp`);
  try {
    await make(temporary).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await make(temporary);
    });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}
