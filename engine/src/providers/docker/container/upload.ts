import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pack } from "tar-stream";
import type { PropertyMap } from "../../../values.ts";
import { flag, objects, text } from "../plain.ts";
import type { Call } from "../resources/resource.ts";

const EXECUTABLE = 0o744;
const PLAIN = 0o644;

/** Puts the files of `uploads` into a container that is not started yet. @throws naming the file, never its content */
export async function upload(id: string, inputs: PropertyMap, call: Call): Promise<void> {
  const uploads = objects(inputs, "uploads");
  if (uploads.length === 0) return;
  const archive = pack();
  for (const file of uploads) {
    const permissions = text(file, "permissions");
    const mode = permissions !== "" ? Number.parseInt(permissions, 8) : flag(file, "executable") ? EXECUTABLE : PLAIN;
    archive.entry(
      { name: text(file, "file").replace(/^\/+/, ""), mode, mtime: new Date() },
      await contentOf(file, call.programDir),
    );
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const names = uploads.map((file) => text(file, "file")).join(", ");
  const tar = Buffer.concat(chunks);
  await call.engine.ask(`put ${names} into the container ${text(inputs, "name")}`, call, (docker) =>
    docker.getContainer(id).putArchive(tar, { path: "/" }),
  );
}

/** What is wrong with the uploads; undefined: nothing. */
export function uploadMistake(file: PropertyMap): string | undefined {
  const given = ["content", "contentBase64", "source"].filter(
    (key) => file[key] !== undefined && file[key] !== null && file[key] !== "",
  );
  if (given.length === 1) return undefined;
  if (given.length > 1) return `${given.join(" and ")} can't both be given`;
  return file.content === "" ? undefined : "one of content, contentBase64 and source must be given";
}

async function contentOf(file: PropertyMap, programDir: string): Promise<Buffer> {
  const mistake = uploadMistake(file);
  if (mistake !== undefined) throw new Error(`the upload of ${text(file, "file")}: ${mistake}`);
  const [base64, source] = [text(file, "contentBase64"), text(file, "source")];
  if (base64 !== "") return Buffer.from(base64, "base64");
  if (source === "") return Buffer.from(text(file, "content"));
  try {
    return await readFile(resolve(programDir, source));
  } catch (error) {
    throw new Error(`cannot read the source of the upload of ${text(file, "file")}: ${(error as Error).message}`);
  }
}
