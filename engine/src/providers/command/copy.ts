import { readdir, stat } from "node:fs/promises";
import { basename, join, posix, resolve } from "node:path";
import type { SFTPWrapper } from "ssh2";
import type { CallContext } from "../../provider.ts";
import { Archive, Asset, type PropertyMap } from "../../values.ts";
import { ConnectionLost } from "./errors.ts";
import { reveal, text } from "./plain.ts";
import type { Links } from "./ssh/link.ts";
import { address, readConnection } from "./ssh/settings.ts";
import { makeFolder, makeFolders, openSftp, putFile, putText, statRemote } from "./ssh/sftp.ts";

/**
 * Copies `source` to `remotePath`, which is taken as the official provider takes it:
 *
 *     source   remotePath is a folder      does not exist        is a file
 *     dir      remotePath/dir              remotePath/dir        error
 *     dir/     remotePath/x for all x      remotePath/x          error
 *     file     remotePath/file             remotePath            remotePath, overwritten
 *     text     error                       remotePath            remotePath, overwritten
 *
 * Missing parent folders are made, links are followed, modes are the server's default, strays stay.
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
  const onClose = () => fail(new ConnectionLost(where, "the connection dropped", `copy to ${remotePath}`, ""));
  const onAbort = () => fail(new Error(`copying to ${where}:${remotePath} was stopped`));
  client.once("close", onClose);
  call.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([copySource(channel, inputs, remotePath, programDir), broken]);
  } finally {
    client.off("close", onClose);
    call.signal.removeEventListener("abort", onAbort);
    channel.end();
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
  if (source instanceof Asset && "text" in source.source) return copyText(sftp, source.source.text, remotePath);
  if ((source instanceof Asset || source instanceof Archive) && "path" in source.source) {
    return copyPath(sftp, source.source.path, remotePath, programDir);
  }
  throw new Error("the source to copy must be a file asset, a text asset or an archive of a path");
}

async function copyText(sftp: SFTPWrapper, content: string, remotePath: string): Promise<void> {
  if ((await statRemote(sftp, remotePath))?.isDirectory()) {
    throw new Error(
      `remote path ${remotePath} is a directory; when using a text asset, remotePath must be a file path`,
    );
  }
  await makeFolders(sftp, posix.dirname(remotePath));
  await putText(sftp, content, remotePath);
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
