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

/**
 * Reads an SSH command line, whole or in words; `user@address`, `user@address:port` and `ssh://user@address:port` too.
 * Options may stand behind the address, as platforms write them.
 * @throws UserError (exit code 2) where it names no box, or a way to it that the settings don't have
 */
export function readSshCommand(words: string[]): Box {
  const line = words.join(" ");
  const rest = words.length === 1 ? split(line) : [...words];
  // Not repeated: what stands behind it is a password.
  if (rest[0] === "sshpass")
    throw new UserError("Leave out sshpass and its password: `up` takes the password from a variable.", 2);
  if (rest[0] === "ssh") rest.shift();
  const box: Partial<Box> & Pick<Box, "leftOut"> = { leftOut: [] };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word.startsWith("-") && word.length > 1) {
      take(box, word, rest, line);
      continue;
    }
    if (box.address !== undefined)
      throw refuse(
        line,
        `\`${word}\` stands behind the address ${box.address}: a command to run there is no part of it`,
      );
    Object.assign(box, destination(word, line));
  }
  if (box.address === undefined) throw refuse(line, "it names no box; wanted: ssh -p <port> <user>@<address>");
  return { address: box.address, ...box };
}

/** One option, with the word that belongs to it. */
function take(box: Partial<Box> & Pick<Box, "leftOut">, word: string, rest: string[], line: string): void {
  const letter = word[1] as string;
  if (valued.includes(letter)) {
    const value = word.length > 2 ? word.slice(2) : rest.shift();
    if (value === undefined) throw refuse(line, `-${letter} wants a word behind it`);
    const taken = letter === "o" ? takeSetting(box, value, line) : takeNamed(box, letter, value, line);
    if (!taken) box.leftOut.push(`-${letter} ${value}`);
    return;
  }
  if (![...word.slice(1)].every((one) => alone.includes(one))) throw refuse(line, `\`${word}\` is no option of ssh`);
  box.leftOut.push(word);
}

/** `-o Port=40722`, by the names of ssh_config. */
function takeSetting(box: Partial<Box>, setting: string, line: string): boolean {
  const [, name = "", value = ""] = /^\s*(\w+)\s*[=\s]\s*(.*)$/.exec(setting) ?? [];
  const letter = { port: "p", user: "l", identityfile: "i", proxyjump: "J" }[name.toLowerCase()];
  return letter !== undefined && takeNamed(box, letter, value, line);
}

function takeNamed(box: Partial<Box>, letter: string, value: string, line: string): boolean {
  if (letter === "p") box.port = portOf(value, line);
  else if (letter === "l") box.user = value;
  else if (letter === "i") box.keyFile = value;
  else if (letter === "J")
    throw refuse(line, "the way through another host (-J) is no setting of a stack; give the box's own address");
  else return false;
  return true;
}

function destination(word: string, line: string): Partial<Box> {
  const plain = word.replace(/^ssh:\/\//, "").replace(/\/$/, "");
  const [, user, bracketed, name, port] = /^(?:([^@]*)@)?(?:\[([^\]]+)\]|([^@]*?))(?::(\d+))?$/.exec(plain) ?? [];
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

/** Words as a shell makes them of a line, with quotes and without anything else of a shell. */
function split(line: string): string[] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single));
}

const refuse = (line: string, why: string) => new UserError(`\`${line}\`: ${why}.`, 2);
