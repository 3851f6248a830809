import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { outlivesDown } from "../../../stacks/dify/kept.ts";
import { boxOutlivesDown } from "../../../stacks/docker/kept.ts";
import { renamedFile } from "../../../stacks/renamed.ts";
import { confirm } from "../ask.ts";
import { containerIsGone, settleVolumes } from "../container.ts";
import { deadDify } from "../deadDify.ts";
import { planLines } from "../display/plan.ts";
import { plural, seconds } from "../display/text.ts";
import type { Runner } from "../engines/engine.ts";
import { openRunner } from "../engines/open.ts";
import { adoptConnection, forget, forgetHost, isInDify, isOfContainer, listResources } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { failureLines, throwSettingsMistakes } from "../failure.ts";
import { readIfThere } from "../files.ts";
import { purgeLeftCache } from "../leftCache.ts";
import { startMachine, stopMachine } from "../machine.ts";
import { removeLeftovers, volumesOfOthers } from "../onEngines.ts";
import { home, hostKeyFile, reportDir, stackHome } from "../paths.ts";
import { settlePlatform } from "../platform.ts";
import { orderPurge, unusedCaches } from "../purge.ts";
import { endCutOffRental, rentalState, rentalUrn } from "../rental.ts";
import { runShown } from "../run.ts";
import { openStack, type Stack } from "../stack.ts";
import { type Context, hint } from "./command.ts";
import { ensureTrusted } from "./trust.ts";

/** `atelier down`: removes what `up` made. */
export async function down(context: Context): Promise<number> {
  const { options, terminal, interrupt, startedAt } = context;
  let stack = openStack(options.stack);
  const runner = openRunner(stack, options, terminal);
  const local = stack.settings.host.kind === "local";
  const before = await listResources(stack.name);
  if (stack.asks && !options.yes && !terminal.asks)
    throw new UserError(
      `\`down\` asks before it removes stack \`${stack.name}\`. There is no terminal to ask on: add --yes.`,
      2,
    );

  const shielded = options.excludeProtected ? before.filter(({ protect }) => protect).map(({ urn }) => urn) : [];
  if (options.excludeProtected && options.target.length > 0)
    throw new UsageError("--target and --exclude-protected cannot be combined.");
  const partial = options.target.length + options.exclude.length + shielded.length > 0;
  if ((partial || options.excludeProtected) && (options.purge || options.hostGone || options.difyGone))
    throw new UsageError(
      "--purge, --host-gone and --dify-gone are about the whole stack: not together with --target or --exclude….",
    );

  // A rehearsal's Dify has nothing worth keeping.
  const keptDify = partial || options.purge || !stack.asks ? [] : before.filter(outlivesDown);
  const keptBox = partial || options.purge ? [] : before.filter(boxOutlivesDown);
  const kept = [...keptDify, ...keptBox].map(({ urn }) => urn);
  const scoped = { ...context, options: { ...options, exclude: [...options.exclude, ...shielded, ...kept] } };

  let removed = 0;
  const rental = await rentalState(stack);
  if (before.length > 0 || rental) {
    if (!options.hostGone) {
      await startMachine(stack);
      await interrupt.orLeave(ensureTrusted(stack, options.yes, terminal));
      stack = await interrupt.orLeave(settlePlatform(stack, { fresh: false }, terminal));
    }
    const plan = await runShown(runner, "destroy", scoped, { preview: true });
    if (plan.result !== "succeeded") return giveUp(plan, runner, stack, context);
    for (const line of planLines(plan.record.steps, terminal)) terminal.line(line);
    if (!partial) terminal.line(rental ? rentalEnds : whatStays(stack, options.purge, options.hostGone));
    if (shielded.length > 0)
      terminal.line(`Protected, and so left with what they need: ${plural(shielded.length, "resource")}.`);
    if (keptDify.length > 0)
      terminal.line("Dify's volumes stay, and in the state the passwords that belong to them; --purge removes both.");
    const { signal } = interrupt;
    const dead = await interrupt.orLeave(deadDify(stack, options, signal));
    if (dead) terminal.line(`${dead.stays}${dead.contained ? ` ${difyComesBack(keptDify.length > 0)}` : ""}`);
    if (stack.asks && !options.yes && !(await confirm("Remove it?", terminal, "`down` removes things.")))
      throw new UserError("Nothing was changed.");

    const isDead = (state: { urn: string }) => dead?.isOf(state) === true && !kept.includes(state.urn);
    if (options.hostGone) {
      const forgotten = await forgetHost(stack.name, (state) => isOfContainer(state) || isDead(state));
      terminal.line(
        `Forgot ${plural(forgotten, "resource")} of the host${dead ? " and of Dify's" : ""}, without dialling it.`,
      );
    } else {
      if (dead)
        terminal.line(`Forgot ${plural(await forget(stack.name, isDead), "resource")} of Dify's, without asking it.`);
      if (!partial && (await containerIsGone(stack))) {
        const forgotten = await forgetHost(stack.name);
        terminal.line(`Forgot ${plural(forgotten, "resource")} of the container, which does not run any more.`);
      } else {
        if (!local) await adoptConnection(stack.name, interrupt.signal);
        if (options.purge) await orderPurge(stack, interrupt.signal);
      }
    }
    const gone = { box: options.hostGone, dify: dead !== undefined };
    if (!partial && before.some(({ urn }) => urn.endsWith("docker-facts")))
      await removeLeftovers(stack, { say: (line) => terminal.line(line), signal, gone });
    const others = await volumesOfOthers(stack, signal, gone);
    for (const name of others)
      terminal.line(`The volume ${name} stays: this stack did not make it. docker volume rm ${name} removes it.`);
    await settleVolumes(stack, options.purge, others);
    const destroyed = await runShown(runner, "destroy", scoped);
    if (destroyed.result !== "succeeded") return giveUp(destroyed, runner, stack, context);
    if (!partial) await endCutOffRental(stack);
    removed = destroyed.record.steps.steps.length;
  }
  let left = removed === 0 && options.purge && !options.hostGone ? await purgeLeft(stack, context) : undefined;
  // What was not among the targets still needs the machine.
  if (!partial) {
    await stopMachine(stack);
    if (clean(stack, options.purge && local)) left = `Removed the cache ${join(home, "cache")}.`;
  }
  if (options.json)
    terminal.answer(JSON.stringify({ stack: stack.name, engine: runner.name, result: "succeeded", removed }));
  const took = seconds((Date.now() - startedAt) / 1000);
  terminal.line(
    removed === 0
      ? (left ?? "There was nothing to remove.")
      : `${terminal.colours.green("✓")} Removed ${plural(removed, "resource")}, in ${took}.`,
  );
  if (rental && !(await rentalState(stack))) terminal.line("The rental was ended by host.rent.destroy.");
  else if (stack.settings.host.kind === "ssh" && !stack.settings.host.rent)
    terminal.line(
      "If the host is rented, the rental goes on and is billed until you end it in the platform's console.",
    );
  return 0;
}

/** What a `down` without --purge left on a host whose key is pinned; undefined: nothing. */
async function purgeLeft(stack: Stack, { options, terminal, interrupt }: Context): Promise<string | undefined> {
  const { host } = stack.settings;
  if (host.kind !== "ssh" || !host.address || !(host.hostKey ?? readIfThere(hostKeyFile(stack.name)))) return undefined;
  const settled = await interrupt.orLeave(settlePlatform(stack, { fresh: false }, terminal));
  const question = "Nothing else of the stack is left. Remove the cache of downloads on the host?";
  if (stack.asks && !options.yes && !(await confirm(question, terminal, "`down` removes things.")))
    throw new UserError("Nothing was changed.");
  return interrupt.orLeave(purgeLeftCache(settled, interrupt.signal));
}

const difyComesBack = (kept: boolean) =>
  `Should that machine come back, they run on there: the next \`up\` on it ${kept ? "removes what is left of them" : "names them, and how they are removed"}.`;

const rentalEnds = "The rental ends, and its disks go with it.";

function whatStays(stack: Stack, purge: boolean, hostGone: boolean): string {
  if (hostGone) return "The host is not dialled: what is on it, if it still exists, stays there.";
  if (stack.settings.host.kind === "docker")
    return purge
      ? "The volume goes too, and the cache of downloads with it; the image stays."
      : "The volume with the cache of downloads stays, and so does the image; --purge removes the volume too.";
  if (purge) return "The cache of downloads goes too, but for what another stack there uses.";
  return stack.settings.host.kind === "local"
    ? `The cache stays: ${join(home, "cache")}`
    : "The cache of downloads on the host stays; --purge removes it too.";
}

/** The proof was of something that is gone; a pinned host key outlives the stack, as the box does. Says whether a cache went. */
function clean(stack: Stack, cache: boolean): boolean {
  for (const path of [reportDir(stack.name), join(stackHome(stack.name), "pulumi"), renamedFile(home, stack.name)])
    rmSync(path, { recursive: true, force: true });
  if (stack.settings.host.kind === "local") rmSync(stackHome(stack.name), { recursive: true, force: true });
  const caches = cache ? unusedCaches().map((name) => join(home, "cache", name)) : [];
  const there = caches.filter(existsSync);
  for (const path of there) rmSync(path, { recursive: true, force: true });
  return there.length > 0;
}

async function giveUp(
  { result, record }: Awaited<ReturnType<typeof runShown>>,
  runner: Runner,
  stack: Stack,
  context: Context,
): Promise<number> {
  const { options, terminal } = context;
  throwSettingsMistakes(record);
  if (result === "failed") {
    for (const line of failureLines("removal", record, context)) terminal.line(line);
    const rental = await rentalUrn(stack.name);
    // A platform that knows nothing of it any more answers with an error each time.
    const failed = record.steps.steps.filter(({ status }) => status === "failed");
    if (rental && failed.some(({ urn }) => urn === rental))
      terminal.line(
        `If the platform's console shows that it is over already: ${hint("state delete", stack.name)} "${rental}" takes it out of the state.`,
      );
    else if (stack.settings.host.kind !== "local" && !failed.some(isInDify))
      terminal.line(
        `If the box is gone for good: ${hint("down", stack.name)} --host-gone forgets its resources without dialling it.`,
      );
  } else terminal.line("Interrupted. What is removed is removed; the state is saved and its lock released.");
  if (options.json)
    terminal.answer(JSON.stringify({ stack: stack.name, engine: runner.name, result, ...record.record }));
  return result === "failed" ? 1 : 130;
}
