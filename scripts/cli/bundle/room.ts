import { existsSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { inWords } from "./manifest.ts";

/** Left free beside what is still to come. */
export const spare = 200_000_000;
/** FAT, as sticks often have it: Linux's number for it, and the largest file that it holds. */
const fat = { type: 0x4d44, largest: 2 ** 32 - 1 };

/**
 * Refuses a folder that has no room for what is missing of a bundle, before anything is fetched into it. What has no known length is asked for when it comes.
 * @throws UserError with what is missing and what is free, and the files that are too large for its disk
 */
export async function checkRoom(folder: string, files: { path: string; bytes: number | undefined }[]): Promise<void> {
  const { bavail, bsize, type } = await statfs(folder);
  const tooLarge = type === fat.type ? files.filter(({ bytes = 0 }) => bytes > fat.largest) : [];
  if (tooLarge.length > 0)
    throw new UserError(
      `The disk of ${folder} is of the kind FAT, which holds no file of 4 GiB or more: ${tooLarge.map(({ path, bytes = 0 }) => `${path} (${inWords(bytes)})`).join(", ")}. Take another folder, or format the disk as exFAT or ext4.`,
    );
  // Two images may have a layer in common.
  const once = [...new Map(files.map((file) => [file.path, file])).values()];
  const missing = once.reduce(
    (sum, { path, bytes = 0 }) => sum + Math.max(0, bytes - sizeThere(join(folder, path))),
    0,
  );
  if (missing === 0 || bavail * bsize >= missing + spare) return;
  throw new UserError(
    `The bundle wants ${inWords(missing)} more, and ${folder} has ${inWords(bavail * bsize)} free: free some, or take another folder. Nothing was fetched.`,
  );
}

/** There is none left for one file: no other address can mend that, and no other file gets in. */
export class NoRoom extends Error {}

export const isFull = (error: unknown): boolean =>
  error instanceof NoRoom || /ENOSPC|EDQUOT|No space left on device|Disk quota exceeded/.test(String(error));

/** What came of a file already; all of it where it has its name. */
const sizeThere = (path: string): number =>
  [path, `${path}.part`].filter(existsSync).reduce((most, one) => Math.max(most, statSync(one).size), 0);
