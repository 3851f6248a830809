import { existsSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative } from "node:path";
import { fullPath } from "../../../stacks/login.ts";
import { UsageError, UserError } from "../errors.ts";
import { type Login, settingsText } from "../init/settingsText.ts";
import { type Box, readSshCommand } from "../init/sshCommand.ts";
import { root } from "../paths.ts";
import { readSshAlias } from "../sshConfig.ts";
import type { Context } from "./command.ts";

/** Where the password of a new box is looked for, unless it is said how to log in. */
const PASSWORD_VARIABLE = "ATELIER_SSH_PASSWORD";

/** `atelier init`: a stack for the box that a platform's SSH command leads to. Dials nothing. */
export async function init({ options, terminal }: Context): Promise<number> {
  const { stack, args } = options;
  if (args.length === 0)
    throw new UsageError(
      'The SSH command that the platform shows is missing: atelier init --stack mybox "ssh -p 40722 root@example.com"',
    );
  if (stack === "rehearsal") throw new UsageError("A new stack wants a name of its own: --stack mybox");
  const typed = readSshCommand(args);
  const { through, ...alias } = readSshAlias(typed.address) ?? { address: typed.address };
  if (through !== undefined)
    throw new UserError(
      `Your SSH configuration leads to ${typed.address} through ${through}, which is no setting of a stack; give the box's own address.`,
      2,
    );
  const box: Box = { ...alias, ...typed, address: alias.address };
  // Told by RunPod itself: a terminal for people, without commands, files and ports.
  if (box.address === "ssh.runpod.io")
    throw new UserError(
      'ssh.runpod.io leads to a terminal alone, in which nothing can be set up. The pod\'s page shows another line, "SSH over exposed TCP": root@<address> -p <port>.',
      2,
    );
  const login = loginOf(options.login, box);
  const text = settingsText(stack, {
    box,
    login,
    upstreams: options.profile ?? "auto",
    publicUrl: options.publicUrl,
  });
  const path = join(root, "stacks", `Pulumi.${stack}.yaml`);
  const file = relative(root, path);
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new UserError(
      `There is a stack \`${stack}\` already: ${file}. Change it there, or give the new one another name.`,
      2,
    );
  }
  if (options.json) terminal.answer(JSON.stringify({ stack, file, leftOut: box.leftOut }));
  terminal.line(`Wrote ${file}.`);
  if (box.address !== typed.address)
    terminal.line(`\`${typed.address}\` is a name of your SSH configuration: what it says there is taken.`);
  if (box.leftOut.length > 0)
    terminal.line(`Left out of it: ${box.leftOut.join(", ")}. \`up\` finds its own way to the WebUI.`);
  if ("keyFile" in login && !existsSync(fullPath(login.keyFile)))
    terminal.line(`There is no file ${login.keyFile} on this machine yet: \`up\` wants the private key there.`);
  const next = [
    `npx atelier trust --stack ${stack}`,
    ...("passwordEnv" in login ? [`export ${login.passwordEnv}=…`] : []),
    `npx atelier up --stack ${stack}`,
  ];
  terminal.line(["Next:", ...next.map((line) => `  ${line}`)].join("\n"));
  return 0;
}

/** As `--login` says; else by the key that the command names, else by a password. */
function loginOf(how: string | undefined, { keyFile }: Box): Login {
  if (how === "agent") return { agent: true };
  if (how === "password" || (how === undefined && keyFile === undefined)) return { passwordEnv: PASSWORD_VARIABLE };
  const file = how ?? (keyFile as string);
  // The file is kept in git, and read on other machines.
  return { keyFile: file.startsWith(`${homedir()}/`) ? `~${file.slice(homedir().length)}` : file };
}
