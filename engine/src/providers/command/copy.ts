import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { basename, join, posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { SFTPWrapper } from "ssh2";
import { archiveFiles, readAsset } from "../../assets.ts";
import type { CallContext } from "../../provider.ts";
import { Archive, Asset, type PropertyMap } from "../../values.ts";
import { ConnectionLost } from "./errors.ts";
import { reveal, text } from "./plain.ts";
import type { Links } from "./ssh/link.ts";
import { address, readConnection } from "./ssh/settings.ts";
import { makeFolder, makeFolders, openSftp, putBytes, putFile, statRemote } from "./ssh/sftp.ts";

/**
 * Copies `source` to `remotePath`, which is taken as the official provider takes it:
 *
 *     source   remotePath is a folder      does not exist        is a file
 *     dir      remotePath/dir              remotePath/dir        error
 *     dir/     remotePath/x for all x      remotePath/x          error
 *     file     remotePath/file             remotePath            remotePath, overwritten
 *     text     error                       remotePath            remotePath, overwritten
 *
 * Beyond it: what a URL answers is a file with the URL's last part as its name, an archive of assets is `dir/`.
 * A packed archive (.tgz, .zip) is copied as the file that it is. Missing parent folders are made, links are followed, modes are the server's default, strays stay.
 */
export async function copyToRemote(
  inputs: PropertyMap,
  call: Pick<CallContext, "signal" | "log">,
  links: Links,
  programDir: string,
): Promise<void> {
  const connection = readConnection(inputs.connection);
  const remotePath = text(inputs, "remotePath") ?? "";
  const where = address(connection);
  const { channel, client, release } = await links.of(connection).lease(openSftp, {
    signal: call.signal,
    onRetry: (line) => call.log({ stream: "info", text: line, ephemeral: true }),
  });
  let fail = (_: Error) => {};
  const broken = new Promise<never>((_, reject) => {
    fail = reject;
  });
  broken.catch(() => {});
  let lost = false;
  const onClose = () => {
    lost = true;
    fail(new ConnectionLost(where, "the connection dropped", `copy to ${remotePath}`, ""));
  };
  const onAbort = () => fail(new Error(`copying to ${where}:${remotePath} was stopped`));
  client.once("close", onClose);
  call.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([copySource(channel, inputs, remotePath, programDir), broken]);
  } finally {
    client.off("close", onClose);
    call.signal.removeEventListener("abort", onAbort);
    // On a line that is gone, compression throws.
    if (!lost) channel.end();
    release();
  }
}

async function copySource(
  sftp: SFTPWrapper,
  inputs: PropertyMap,
  remotePath: string,
  programDir: string,
): Promise<void> {
  const source = reveal(inputs.source ?? null);
  if (!(source instanceof Asset || source instanceof Archive)) throw new Error("there is no source to copy");
  const from = source.source;
  if ("text" in from) return copyText(sftp, from.text, remotePath);
  if ("path" in from) return copyPath(sftp, from.path, remotePath, programDir);
  if ("uri" in from) return copyUrl(sftp, from.uri, source.hash, remotePath, programDir);
  return copyAssets(sftp, new Archive(from), remotePath, programDir);
}

/** @param hash what the URL answered when the resource was registered: another content is no content of this update */
async function copyUrl(
  sftp: SFTPWrapper,
  uri: string,
  hash: string,
  remotePath: string,
  programDir: string,
): Promise<void> {
  if (uri.startsWith("file:")) return copyPath(sftp, fileURLToPath(uri), remotePath, programDir);
  const bytes = await readAsset(new Asset({ uri }), programDir);
  const got = createHash("sha256").update(bytes).digest("hex");
  if (hash !== "" && got !== hash) {
    throw new Error(
      `${uri} answers otherwise than when this update began (sha256 ${got}, before ${hash}). Nothing was copied; run it again.`,
    );
  }
  const name = decodeURIComponent(posix.basename(new URL(uri).pathname));
  const there = await statRemote(sftp, remotePath);
  if (there?.isDirectory() && !isName(name)) {
    throw new Error(
      `remote path ${remotePath} is a directory, and ${uri} names no file; remotePath must be a file path`,
    );
  }
  if (!there) await makeFolders(sftp, posix.dirname(remotePath));
  await putBytes(sftp, bytes, there?.isDirectory() ? posix.join(remotePath, name) : remotePath);
}

async function copyAssets(sftp: SFTPWrapper, archive: Archive, remotePath: string, programDir: string): Promise<void> {
  await makeFolders(sftp, remotePath);
  for await (const file of archiveFiles(archive, programDir)) {
    if (!file.name.split("/").every(isName)) {
      throw new Error(
        `the archive's member ${JSON.stringify(file.name)} would not lie below remote path ${remotePath}`,
      );
    }
    const target = posix.join(remotePath, file.name);
    await makeFolders(sftp, posix.dirname(target));
    if ("path" in file) await putFile(sftp, file.path, target);
    else await putBytes(sftp, file.content, target);
  }
}

const isName = (part: string): boolean => part !== "" && part !== "." && part !== ".." && !part.includes("/");

async function copyText(sftp: SFTPWrapper, content: string, remotePath: string): Promise<void> {
  if ((await statRemote(sftp, remotePath))?.isDirectory()) {
    throw new Error(
      `remote path ${remotePath} is a directory; when using a text asset, remotePath must be a file path`,
    );
  }
  await makeFolders(sftp, posix.dirname(remotePath));
  await putBytes(sftp, Buffer.from(content), remotePath);
}

async function copyPath(sftp: SFTPWrapper, path: string, remotePath: string, programDir: string): Promise<void> {
  const local = resolve(programDir, path);
  const there = await statRemote(sftp, remotePath);
  if ((await stat(local)).isDirectory()) {
    if (!there) await makeFolders(sftp, remotePath);
    const target = path.endsWith("/") ? remotePath : posix.join(remotePath, basename(local));
    return await copyFolder(sftp, local, target);
  }
  if (there?.isDirectory()) return await putFile(sftp, local, posix.join(remotePath, basename(local)));
  if (!there) await makeFolders(sftp, posix.dirname(remotePath));
  await putFile(sftp, local, remotePath);
}

async function copyFolder(sftp: SFTPWrapper, local: string, remote: string): Promise<void> {
  await makeFolder(sftp, remote);
  const entries = await readdir(local, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const from = join(local, entry.name);
    const to = posix.join(remote, entry.name);
    if (entry.isDirectory()) await copyFolder(sftp, from, to);
    else await putFile(sftp, from, to);
  }
}
