import { confirm } from "../ask.ts";
import { UserError } from "../errors.ts";
import { readIfThere, writeWhole } from "../files.ts";
import { fetchHostKey, type HostKey, parseKey, serverOf } from "../hostkey.ts";
import { hostKeyFile } from "../paths.ts";
import { openStack, type Stack } from "../stack.ts";
import type { Terminal } from "../terminal.ts";
import { type Context, hint } from "./command.ts";

/** `atelier trust`: shows the key of a host behind SSH and pins it. */
export async function trust({ options, terminal }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const { host } = stack.settings;
  if (host.kind === "local")
    throw new UserError(`The host of stack \`${stack.name}\` is this machine: there is no key to trust.`, 2);
  const server = serverOf(host);
  if (!server && host.kind === "docker")
    throw new UserError(
      `The host of stack \`${stack.name}\` is a container whose key \`up\` makes: there is no key to trust.`,
      2,
    );
  if (!server)
    throw new UserError(`The host of stack \`${stack.name}\` is rented by \`up\`: host.rent.create tells its key.`, 2);
  const where = `${server.address}:${server.port}`;
  const offered = await fetchHostKey(server.address, server.port);
  const known = host.hostKey ?? readIfThere(hostKeyFile(stack.name));
  const before = known === undefined ? undefined : parseKey(known);
  const done = (status: "pinned" | "known" | "replaced") => {
    if (options.json)
      terminal.answer(
        JSON.stringify({ stack: stack.name, host: where, status, ...offered, before: before?.fingerprint }),
      );
    return 0;
  };
  terminal.line(`${where} shows ${offered.type} ${offered.fingerprint}`);
  if (before?.line === offered.line) {
    terminal.line(host.hostKey ? "The stack's settings (host.hostKey) say the same." : "That key is pinned already.");
    return done("known");
  }
  if (before && host.hostKey) {
    throw new UserError(
      `The stack's settings (host.hostKey) name another: ${before.type} ${before.fingerprint}. ` +
        "If the box is a new one, change host.hostKey there; if not, somebody may stand between.",
    );
  }
  if (before && !options.replace) {
    throw new UserError(
      `Pinned is another: ${before.type} ${before.fingerprint}. If the box was rented anew or reinstalled, compare with what its platform shows, ` +
        `then: ${hint("trust", stack.name)} --replace. If not, somebody may stand between: log in nowhere.`,
    );
  }
  pin(stack.name, offered);
  terminal.line(
    before
      ? `Replaced ${before.type} ${before.fingerprint}; the new key is pinned.`
      : "Pinned. Compare it with what the platform shows.",
  );
  return done(before ? "replaced" : "pinned");
}

/** Before an update: a host without a known key is shown, and pinned if the user says so. */
export async function ensureTrusted(stack: Stack, yes: boolean, terminal: Terminal): Promise<void> {
  const server = serverOf(stack.settings.host);
  if (!server || server.hostKey !== undefined || readIfThere(hostKeyFile(stack.name)) !== undefined) return;
  const where = `${server.address}:${server.port}`;
  const offered = await fetchHostKey(server.address, server.port);
  terminal.line(`First contact: ${where} shows ${offered.type} ${offered.fingerprint}`);
  const agreed = yes || (await confirm("Is that the key of your box?", terminal, `No key is pinned for ${where}.`));
  if (!agreed) throw new UserError("Not pinned, and nothing was changed.");
  pin(stack.name, offered);
  terminal.line("Pinned.");
}

const pin = (stack: string, key: HostKey): void => writeWhole(hostKeyFile(stack), `${key.line}\n`);
