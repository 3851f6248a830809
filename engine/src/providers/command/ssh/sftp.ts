import { posix } from "node:path";
import ssh2, { type Client, type SFTPWrapper, type Stats } from "ssh2";
import { openChannel } from "./session.ts";

/** Starts SFTP on the connection. */
export async function openSftp(client: Client): Promise<SFTPWrapper> {
  try {
    return await openChannel<SFTPWrapper>(client, (callback) => client.sftp(callback));
  } catch (error) {
    const { message } = error as Error;
    if (/exceeds max length/i.test(message)) {
      throw new Error(
        "the host's SSH server answers something else where SFTP was asked for. Check that it forces no command on this user (ForceCommand, or command= in authorized_keys), and that the user's shell prints nothing when it starts.",
      );
    }
    if (!/subsystem|SFTP session/i.test(message)) throw error;
    throw new Error(
      `the host's SSH server offers no SFTP (${message}). Install its sftp-server (Debian: openssh-sftp-server), and keep "Subsystem sftp" in sshd_config.`,
    );
  }
}

/** undefined: there is nothing at this path. Links are followed. */
export async function statRemote(sftp: SFTPWrapper, path: string): Promise<Stats | undefined> {
  try {
    return await call<Stats>((done) => sftp.stat(path, done));
  } catch (error) {
    if ((error as { code?: unknown }).code === ssh2.utils.sftp.STATUS_CODE.NO_SUCH_FILE) return undefined;
    throw new Error(`failed to stat remote path ${path}: ${(error as Error).message}`);
  }
}

/** Makes a folder and those above it. */
export async function makeFolders(sftp: SFTPWrapper, path: string): Promise<void> {
  const there = await statRemote(sftp, path);
  if (there?.isDirectory()) return;
  if (there) throw new Error(`remote path ${path} exists but is not a directory`);
  const parent = posix.dirname(path);
  if (parent !== path) await makeFolders(sftp, parent);
  await makeFolder(sftp, path);
}

/** Makes one folder, or keeps the one that is there. */
export async function makeFolder(sftp: SFTPWrapper, path: string): Promise<void> {
  const there = await statRemote(sftp, path);
  if (there?.isDirectory()) return;
  if (there) throw new Error(`remote path ${path} exists but is not a directory`);
  try {
    await call<void>((done) => sftp.mkdir(path, done));
  } catch (error) {
    throw new Error(`failed to create remote directory ${path}: ${(error as Error).message}`);
  }
}

/** Copies a file; the new one gets the server's default mode, an old one keeps its own. */
export async function putFile(sftp: SFTPWrapper, source: string, target: string): Promise<void> {
  try {
    await call<void>((done) => sftp.fastPut(source, target, done));
  } catch (error) {
    throw new Error(`failed to copy file ${source} to remote path ${target}: ${(error as Error).message}`);
  }
}

export async function putBytes(sftp: SFTPWrapper, content: Buffer, target: string): Promise<void> {
  try {
    await call<void>((done) => sftp.writeFile(target, content, { flag: "w" }, done));
  } catch (error) {
    throw new Error(`failed to write to remote path ${target}: ${(error as Error).message}`);
  }
}

function call<T>(start: (done: (error: Error | null | undefined, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value)));
  });
}
