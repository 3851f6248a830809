import { readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";

/** How the file of a state ends: the official CLI may keep it compressed. */
export const STATE_ENDINGS = [".json", ".json.gz", ".json.zst"];

/** The text of a state's file, or of a copy of it. */
export async function readState(file: string): Promise<string> {
  const bytes = await readFile(file);
  const packed = file.replace(/\.bak$/, "");
  if (packed.endsWith(".gz")) return (await promisify(gunzip)(bytes)).toString("utf8");
  if (packed.endsWith(".zst")) return (await promisify(zstdDecompress)(bytes)).toString("utf8");
  return bytes.toString("utf8");
}

/** Of files written at the same time the later in the list; undefined: none is there. */
export async function newestOf(files: string[]): Promise<string | undefined> {
  let newest: { file: string; time: number } | undefined;
  for (const file of files) {
    const time = (await stat(file).catch(absent))?.mtimeMs;
    if (time !== undefined && (newest === undefined || time >= newest.time)) newest = { file, time };
  }
  return newest?.file;
}

export function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
}
