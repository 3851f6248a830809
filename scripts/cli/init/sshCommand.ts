import { UserError } from "../errors.ts";

/** A box as the line says that a platform shows: `ssh -p 40722 root@i-1.gpushare.com`. */
export interface Box {
  address: string;
  port?: number;
  user?: string;
  keyFile?: string;
  /** Words of the line that are no matter of a stack's settings. */
  leftOut: string[];
}

/** OpenSSH's options that take a word, and those that stand alone. */
const valued = "BbcDEeFIiJLlmOoPpQRSWw";
const alone = "46AaCfGgKkMNnqsTtVvXxYy";

/** `ssh`, also by its path, as Windows names it, or with a prompt that ends at it. */
export const isSsh = (word: string): boolean => /(^|[^\w@.-])ssh(\.exe)?$/i.test(word);

/** What is read of a line, before it is a box. */
type Reading = Partial<Box> & Pick<Box, "leftOut"> & { hostName?: string };

/**
 * Reads an SSH command line, whole or in words; `user@address`, `user@address:port` and `ssh://user@address:port` too.
 * Options may stand behind the address, as platforms write them; of two of a kind the first counts, as for ssh.
 * @throws UserError (exit code 2) where it names no box, or a way to it that the settings don't have
 */
export function readSshCommand(words: string[]): Box {
  const whole = words.length === 1;
  const line = asTyped(words.join(" "));
  const all = whole ? split(line) : words.map(asTyped);
  // Not repeated: what stands behind it is a password.
  if (all.includes("sshpass"))
    throw new UserError("Leave out sshpass and its password: `up` takes the password from a variable.", 2);
  // Before it: a prompt, a heading, `sudo`.
  const rest = all.slice(all.findIndex(isSsh) + 1);
  const box: Reading = { leftOut: [] };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    // A shell's comment.
    if (whole && word.startsWith("#")) break;
    if (word === "--") continue;
    if (word.startsWith("-") && word.length > 1) {
      take(box, word, rest, line);
      continue;
    }
    if (box.address !== undefined)
      throw refuse(
        line,
        `\`${word}\` stands behind the address ${box.address}: a command to run there is no part of it`,
      );
    const { address, user, port } = destination(word, line);
    box.address = address;
    if (user !== undefined) box.user ??= user;
    if (port !== undefined) box.port ??= port;
  }
  const { hostName, address = "", ...others } = box;
  if (address === "") throw refuse(line, "it names no box; wanted: ssh -p <port> <user>@<address>");
  return { address: hostName ?? address, ...others };
}

/** One word of options, with the word that belongs to it. */
function take(box: Reading, word: string, rest: string[], line: string): void {
  if (word.startsWith("--"))
    throw refuse(line, `\`${word}\` is no option of ssh; options of \`init\` stand before the command`);
  for (let at = 1; at < word.length; at++) {
    const letter = word[at] as string;
    if (valued.includes(letter)) {
      const value = word.slice(at + 1) || rest.shift();
      if (value === undefined) throw refuse(line, `-${letter} wants a word behind it`);
      if (at > 1) box.leftOut.push(word.slice(0, at));
      const taken = letter === "o" ? takeSetting(box, value, line) : takeNamed(box, letter, value, line);
      if (!taken) box.leftOut.push(`-${letter} ${value}`);
      return;
    }
    if (!alone.includes(letter)) throw refuse(line, `\`${word}\` is no option of ssh`);
  }
  box.leftOut.push(word);
}

/** `-o Port=40722`, by the names of ssh_config. */
function takeSetting(box: Reading, setting: string, line: string): boolean {
  const [, key = "", value = ""] = /^\s*(\w+)\s*[=\s]\s*(.*)$/.exec(setting) ?? [];
  const name = key.toLowerCase();
  if (name === "hostname") box.hostName ??= value;
  else if (name === "proxycommand" && value !== "none") throw refuse(line, noWay("ProxyCommand"));
  else {
    const letter = { port: "p", user: "l", identityfile: "i", proxyjump: "J" }[name];
    return letter !== undefined && takeNamed(box, letter, value, line);
  }
  return true;
}

function takeNamed(box: Reading, letter: string, value: string, line: string): boolean {
  if (letter === "p") box.port ??= portOf(value, line);
  else if (letter === "l") box.user ??= value;
  else if (letter === "i") box.keyFile ??= value.replace(home, "~");
  else if (letter === "J") throw refuse(line, noWay("-J"));
  else if (letter === "F")
    throw refuse(line, "the file of -F is not read; give the address, port and user that `ssh -G` shows for it");
  else return false;
  return true;
}

/** The home folder, as shells have it: the settings' own word for it is `~`. */
const home = /^(\$HOME|\$\{HOME\}|\$env:USERPROFILE|%USERPROFILE%)(?=[\\/])/i;

const noWay = (by: string) =>
  `the way through another host (${by}) is no setting of a stack; give the box's own address`;

function destination(word: string, line: string): { address: string; user?: string; port?: number } {
  const plain = word.replace(/^ssh:\/\//, "").replace(/\/$/, "");
  const [, user, bracketed, name, port] = /^(?:([^@]*)@)?(?:\[([^\]]+)\]|([^@]*?))(?::(\d+))?$/.exec(plain) ?? [];
  // Not repeated either.
  if (user?.includes(":"))
    throw new UserError("Leave out the password before the `@`: `up` takes it from a variable.", 2);
  // An IPv6 address without brackets has colons of its own.
  const bare = name?.includes(":") ? `${name}${port === undefined ? "" : `:${port}`}` : undefined;
  const address = bracketed ?? bare ?? name;
  if (!address) throw refuse(line, `\`${word}\` is no address`);
  return {
    address,
    ...(user && { user }),
    ...(port !== undefined && bare === undefined && { port: portOf(port, line) }),
  };
}

function portOf(text: string, line: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) throw refuse(line, `\`${text}\` is no port`);
  return port;
}

/** As it was typed once, before a page or a chat dressed it up: wide letters, curly quotes, long dashes, letters that nobody sees. */
function asTyped(text: string): string {
  const plain = text
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/\p{Cf}/gu, "")
    .replace(/[“”„]/g, '"')
    .replace(/[‘’]/g, "'")
    .replace(/[‐-―]/g, "-")
    // A line that goes on in the next, in each shell's own way.
    .replace(/[\\`^]\r?\n/g, " ")
    .trim();
  // Quoted as a whole.
  return /^(["'`])((?:(?!\1).)*)\1$/s.exec(plain)?.[2] ?? plain;
}

/** Words as a shell makes them of a line, with quotes and escaped spaces and without anything else of a shell. */
function split(line: string): string[] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|\\\s|[^\s"'])+/g) ?? [];
  return words.map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'|\\(\s)/g, (_, double, single, space) => double ?? single ?? space),
  );
}

const refuse = (line: string, why: string) => new UserError(`\`${line}\`: ${why}.`, 2);
