import { readFileSync } from "node:fs";
import { join } from "node:path";
import { commandProvider } from "@atelier/engine/providers/command/index";
import { torchBuilds } from "../../images/torch.ts";
import { type Login, readLogin } from "../../stacks/login.ts";
import { unheard } from "../../stacks/loginShell.ts";
import { keeps, type Proposal, propose } from "../../stacks/platforms/propose.ts";
import { platformFile, readPlatform, type SavedPlatform } from "../../stacks/platforms/saved.ts";
import { portsToAsk, questions, readSeen, recognise, type Seen } from "../../stacks/platforms/seen.ts";
import { platforms } from "../../stacks/platforms/table.ts";
import type { SshHostSettings } from "../../stacks/schema/host.ts";
import { hint } from "./commands/command.ts";
import { messageOf, UserError } from "./errors.ts";
import { readIfThere, writeWhole } from "./files.ts";
import { home, hostKeyFile, project, root } from "./paths.ts";
import { openStack, type Stack, writtenSettings } from "./stack.ts";
import { settingsInClear } from "./stackSecrets.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Looks at the box of an `ssh` stack, keeps what its platform proposes in `.atelier/<stack>/platform.json`, and says it.
 * @param fresh also where a look is kept already: an address or a disk may have changed
 * @returns the stack, its settings filled with the proposal
 */
export async function settlePlatform(stack: Stack, { fresh }: { fresh: boolean }, terminal: Terminal): Promise<Stack> {
  const { host } = stack.settings;
  if (host.kind !== "ssh" || host.platform === "plain" || host.rent || !host.address) return stack;
  if (!fresh && !stack.unseen) return stack;
  const box = {
    address: host.address,
    port: host.port,
    hostKey: (host.hostKey ?? readIfThere(hostKeyFile(stack.name)) ?? "").trim(),
  };
  const before = readPlatform(home, stack.name);
  const given = { ...writtenSettings(stack.name).webui, gpu: host.gpu };
  const seen = await look(stack.name, host, box, given.port ?? 8080);
  const found = recognise(seen);
  const platform = host.platform === "auto" ? (found?.name ?? "plain") : host.platform;
  const now = propose(platform, seen, given, `${project}/${stack.name}`);
  const { proposal, kept } = settle(before, now, box, seen);
  const saved: SavedPlatform = { platform, signs: found?.name === platform ? found.signs : [], box, proposal };
  writeWhole(platformFile(home, stack.name), `${JSON.stringify(saved, undefined, 2)}\n`);
  const settled = openStack(stack.name);
  for (const line of lines(saved, before, settled, kept)) terminal.line(line);
  return settled;
}

/** A workspace never moves on one box by itself: what was proposed for it first stays. So does a build of torch, until the box tells another GPU. */
function settle(
  before: SavedPlatform | undefined,
  now: Proposal,
  box: SavedPlatform["box"],
  seen: Seen,
): { proposal: Proposal; kept: string | undefined } {
  if (before === undefined || box.hostKey === "" || before.box.hostKey !== box.hostKey)
    return { proposal: now, kept: undefined };
  const { host: place, webui: was } = before.proposal;
  // A driver that does not answer this once is no reason for other packages.
  const torch = seen.gpus.length === 0 && was.torch !== undefined ? { torch: was.torch } : {};
  const proposal = { ...now, webui: { ...now.webui, ...torch } };
  if (!place.workspace || place.workspace === workspaceOf(now)) return { proposal, kept: undefined };
  const { workspace, cache } = place;
  const { cache: _, ...others } = now.host;
  return {
    proposal: { ...proposal, host: { ...others, workspace, ...(cache ? { cache } : {}) } },
    kept: workspaceOf(now),
  };
}

/** What the settings have where nothing is proposed. */
const workspaceOf = ({ host }: Proposal): string => host.workspace ?? "/root/atelier";

/** What is proposed and taken, for people: nothing for a plain box. */
function lines(
  { platform, signs, proposal, box }: SavedPlatform,
  before: SavedPlatform | undefined,
  { settings }: Stack,
  kept: string | undefined,
): string[] {
  const { host, webui } = settings;
  const said: string[] = [];
  const was = before?.proposal;
  if (before && before.box.hostKey !== box.hostKey)
    said.push(`Another box than last time stands at ${box.address}:${box.port}.`);
  if (kept !== undefined)
    said.push(
      `The box would now get the workspace ${kept}; it stays at ${proposal.host.workspace}. To move it: \`down\`, then host.workspace.`,
    );
  else if (was && workspaceOf(was) !== workspaceOf(proposal))
    said.push(
      `The workspace is now ${workspaceOf(proposal)}; it was ${workspaceOf(was)}, and what lies there stays there.`,
    );
  if (was && was.webui.publicUrl !== proposal.webui.publicUrl && was.webui.publicUrl)
    said.push(`The public address is now ${proposal.webui.publicUrl ?? "not known"}; it was ${was.webui.publicUrl}.`);
  const { torch } = proposal.webui;
  if (torch !== undefined && torch === webui.torch && torch !== was?.webui.torch)
    said.push(
      `torch ${torchBuilds[torch].version} for CUDA ${torchBuilds[torch].cuda} (webui.torch ${torch}): the WebUI's own has no code for this GPU.`,
    );
  if (platform === "plain" || host.kind !== "ssh") return said;
  const { title, notes } = platforms[platform];
  const why = signs.length > 0 ? `by ${signs.join(", ")}` : "by the settings alone; nothing on the box says so";
  const where = webui.exposure === "tunnel" ? "through an SSH tunnel" : (webui.publicUrl ?? "at the box's own address");
  const survives = keeps(platform, host.workspace);
  said.push(
    `Platform: ${title} (${why})`,
    `  workspace ${host.workspace}${survives ? ` (${{ nothing: "nothing there survives a stop", stop: "kept over a stop", release: "kept over a release" }[survives]})` : ""}, cache ${host.cache ?? `${host.workspace}/cache`}`,
    `  WebUI on port ${webui.port}, reached ${where}${host.accelerator && host.accelerator !== "none" ? `; GitHub and Hugging Face by ${host.accelerator}` : ""}`,
  );
  // Told once: a note that comes each time is read by nobody.
  if (!before) said.push(...notes.map((note) => `  ${note}`), "  Every setting of the stack overrides this.");
  return said;
}

/**
 * What a box shows of itself: one login, one script on standard input, nothing laid down.
 * @throws UserError when it can't be reached, or its answer can't be read
 */
export async function look(
  stack: string,
  host: SshHostSettings,
  box: SavedPlatform["box"],
  port: number,
): Promise<Seen> {
  const script = readFileSync(join(root, "scripts", "host", "platform.sh"), "utf8").replaceAll("\r\n", "\n");
  const stdin = `${questions(portsToAsk(port))}${script}`;
  const provider = await commandProvider({ version: "", config: {}, programDir: process.cwd() });
  const where = `${host.user}@${box.address}:${box.port}`;
  try {
    const { outputs } = await provider.create({
      urn: "platform",
      type: "command:remote:Command",
      name: "platform",
      signal: AbortSignal.timeout(60_000),
      log: () => {},
      inputs: { connection: { ...(await connection(stack, host)), ...hostOf(host, box) }, create: "sh -s look", stdin },
      preview: false,
      timeout: 60,
    });
    return readSeen(String(outputs.stdout ?? ""));
  } catch (error) {
    if (error instanceof UserError) throw error;
    const why = messageOf(error).trim().replace(/\.*$/, "");
    const next = /host key/.test(why)
      ? `If the box is a new one: ${hint("trust", stack)} --replace`
      : /Process exited with|the box answered/.test(why)
        ? unheard
        : `Is the box running, and are address, port and login still right? If it is gone: ${hint("down", stack)} --host-gone`;
    throw new UserError(`${where} could not be looked at, and nothing was changed: ${why}. ${next}`);
  } finally {
    await provider.close();
  }
}

const hostOf = (host: SshHostSettings, { address, port, hostKey }: SavedPlatform["box"]) => ({
  host: address,
  port,
  user: host.user,
  hostKey,
  dialErrorLimit: 1,
  perDialTimeout: 15,
});

/** The login as the program will have it; secrets of the stack are decrypted for it. */
export async function connection(stack: string, host: SshHostSettings): Promise<Record<string, string>> {
  const mistakes: string[] = [];
  const login: Login = readLogin(await withSecrets(stack, host), mistakes);
  if (mistakes.length > 0)
    throw new UserError(
      `The settings of stack \`${stack}\` have ${mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`}:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}`,
      2,
    );
  const { password, privateKey, privateKeyPassword } = login;
  const known = {
    password,
    privateKey,
    privateKeyPassword,
    agentSocketPath: login.agent ? process.env.SSH_AUTH_SOCK : undefined,
  };
  return Object.fromEntries(Object.entries(known).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

async function withSecrets(stack: string, host: SshHostSettings): Promise<SshHostSettings> {
  try {
    const values = await settingsInClear(stack);
    if (!values) return host;
    const own = JSON.parse(values[`${project}:host`] ?? "{}") as Partial<SshHostSettings>;
    const { password, key, keyPassphrase } = own;
    return {
      ...host,
      ...(password ? { password } : {}),
      ...(key ? { key } : {}),
      ...(keyPassphrase ? { keyPassphrase } : {}),
    };
  } catch (error) {
    throw new UserError(`The login of stack \`${stack}\` could not be decrypted. ${messageOf(error)}`, 2);
  }
}
