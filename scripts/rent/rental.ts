import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { hostAddress } from "../../stacks/schema/words.ts";
import { messageOf } from "../cli/errors.ts";
import { readIfThere, writeWhole } from "../cli/files.ts";
import { fetchHostKey, parseKey } from "../cli/hostkey.ts";
import { root, stackHome } from "../cli/paths.ts";
import { endTree } from "./endTree.ts";

export interface Order {
  stack: string;
  /** A shell line, or a program and its arguments. */
  create: string | string[];
  destroy: string | string[];
  /** Seconds that the box's SSH server may take to answer. */
  timeout: number;
  /** Seconds that each of the commands may take. @default 3600 */
  limit?: number | undefined;
  /** The login of the settings, where the rental names none. */
  user: string;
}

/** What `create` prints; further keys are kept, for `destroy`. */
const rentalSchema = z.looseObject({
  host: hostAddress,
  port: z.coerce.number().int().min(1).max(65535).default(22),
  user: z
    .string()
    .regex(/^[\w-]+$/)
    .optional(),
  /** As in known_hosts; without it, the key that the box shows at first contact. */
  hostKey: z
    .string()
    .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "a public key as `ssh-ed25519 AAAA…`")
    .optional(),
  password: z.string().min(1).optional(),
  privateKey: z.string().includes("PRIVATE KEY").optional(),
  publicUrl: z.url({ protocol: /^https?$/ }).optional(),
});
export type Rental = z.infer<typeof rentalSchema> & { user: string; hostKey: string };

/** Stands for a rental on its way: one that was cut off is ended before the next, and by `down`. */
const markerOf = (stack: string): string => join(stackHome(stack), "renting.json");

/**
 * Rents a box and waits until its SSH server answers. What it can't use is given back at once: nobody else would know of it.
 * @param tell hands the rental over; rejects where nobody takes it any more
 * @throws Error saying what was tried, what came back, and whether something may still be billed
 */
export async function rent(order: Order, tell: (rental: Rental) => Promise<void>): Promise<void> {
  const marker = markerOf(order.stack);
  await endCutOff(order);
  let printed = "";
  const note = () => writeWhole(marker, JSON.stringify({ since: new Date().toISOString(), printed }), 0o600);
  note();
  try {
    const end = await run(order.create, order, "", (text) => {
      printed += text;
      note();
    });
    if (end !== undefined) throw new Error(`host.rent.create ${end}`);
    await tell(await answering(readRental(printed, order.user), order.timeout));
    rmSync(marker, { force: true });
  } catch (error) {
    throw new Error(`${messageOf(error)}. ${await giveBack(order, marker, printed)}`);
  }
}

/** Ends a rental. @param printed what `create` printed; the command reads it on standard input */
export async function destroy(order: Order, printed: string): Promise<void> {
  const end = await run(order.destroy, order, printed, () => {});
  if (end !== undefined)
    throw new Error(
      `host.rent.destroy ${end}, and the rental may go on and be billed. Mend what it says above and run down again, or end the rental in the platform's console`,
    );
}

/** Since when a rental is on its way, or was cut off on it; undefined where none is. */
export const onItsWay = (stack: string): string | undefined => readMarker(stack)?.since;

function readMarker(stack: string): { since: string; printed: string } | undefined {
  const text = readIfThere(markerOf(stack));
  return text === undefined ? undefined : (JSON.parse(text) as { since: string; printed: string });
}

/** Ends what a rental that was cut off may have left. */
export async function endCutOff(order: Order): Promise<void> {
  const marker = markerOf(order.stack);
  const cutOff = readMarker(order.stack);
  if (!cutOff) return;
  const { since, printed } = cutOff;
  process.stderr.write(`rent: the rental begun at ${since} was cut off; ending what it may have left\n`);
  try {
    await destroy(order, printed);
  } catch (error) {
    throw new Error(`${messageOf(error)}. Once that is done by hand, remove ${marker}`);
  }
  rmSync(marker, { force: true });
}

async function giveBack(order: Order, marker: string, printed: string): Promise<string> {
  try {
    await destroy(order, printed);
    rmSync(marker, { force: true });
    return "host.rent.destroy was run at once: nothing is rented";
  } catch (error) {
    return `To give back what may be rented, host.rent.destroy was run; it failed too: ${messageOf(error)}`;
  }
}

/** @throws Error that shows nothing of the text: it may hold a password */
function readRental(text: string, user: string): z.infer<typeof rentalSchema> & { user: string } {
  const wanted = 'wanted: {"host": "…", "port": 22, "user": "root", "hostKey": "ssh-ed25519 …"}';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(
      `host.rent.create printed ${text.length} characters that are no JSON (not shown, a password may be among them); ${wanted}`,
    );
  }
  const parsed = rentalSchema.safeParse(value);
  if (parsed.success) return { ...parsed.data, user: parsed.data.user ?? user };
  const mistakes = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`);
  throw new Error(`what host.rent.create printed is no rental: ${mistakes.join("; ")}; ${wanted}`);
}

/** A fresh box takes its time to start; its key is proved, or taken from this first contact. */
async function answering(rental: ReturnType<typeof readRental>, seconds: number): Promise<Rental> {
  const { host, port, hostKey } = rental;
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      const shown = await fetchHostKey(host, port, Math.min(10_000, Math.max(1000, end - Date.now())));
      if (hostKey !== undefined && parseKey(hostKey).line !== shown.line)
        throw new WrongKey(
          `${host}:${port} shows the host key ${shown.fingerprint}, and the rental names ${parseKey(hostKey).fingerprint}: another box stands there`,
        );
      if (hostKey === undefined)
        process.stderr.write(
          `rent: ${host}:${port} shows ${shown.type} ${shown.fingerprint}; pinned at this first contact\n`,
        );
      return { ...rental, hostKey: shown.line };
    } catch (error) {
      if (error instanceof WrongKey) throw error;
      if (Date.now() + 2000 > end)
        throw new Error(`the rented box does not answer within ${seconds} s. ${messageOf(error)}`);
      await sleep(2000);
    }
  }
}

class WrongKey extends Error {}

/** Runs a command of the user's in the repository, its standard error shown. Gives how it failed; undefined: it did not. */
function run(
  command: Order["create"],
  { stack, limit = 3600 }: Order,
  input: string,
  onText: (text: string) => void,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const [program, ...args] = typeof command === "string" ? [command] : command;
    const child = spawn(program ?? "", args, {
      cwd: root,
      shell: typeof command === "string",
      env: { ...process.env, ATELIER_STACK: stack },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      endTree(child.pid);
      // Whoever got away holds them open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, limit * 1000);
    child.stdout.setEncoding("utf8").on("data", onText);
    // Not the command's own: whoever reads it may die, and the command would with it, in the middle of a rental.
    child.stderr.on("data", (data: Buffer) => void process.stderr.write(data));
    // A command that does not read its input closes the pipe.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("error", (error) => {
      clearTimeout(late);
      reject(new Error(`${program} could not be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(late);
      if (isLate) resolve(`did not end within ${limit} s, and was ended`);
      else resolve(code === 0 ? undefined : `ended with ${code ?? signal}`);
    });
  });
}
