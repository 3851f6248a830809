import { resolve } from "node:path";
import { quoted } from "../../../healthchecks/hint.ts";
import { LockError, pinnedInputs } from "../../../images/lock.ts";
import { profiles, tokenHosts } from "../../../stacks/upstreams.ts";
import { contentsOfLock, contentsOfStack } from "../bundle/contents.ts";
import { createBundle } from "../bundle/create.ts";
import { lacksOf } from "../bundle/lacks.ts";
import { inWords, type Manifest, readManifest } from "../bundle/manifest.ts";
import { overDrops } from "../bundle/overDrops.ts";
import { pushBundle } from "../bundle/push.ts";
import { rememberBundle } from "../bundle/pushed.ts";
import { serveBundle } from "../bundle/server.ts";
import { plural } from "../display/text.ts";
import { Interrupted, messageOf, UsageError, UserError } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { endRequests } from "../http.ts";
import { keepPushed } from "../recorded.ts";
import { openSession } from "../ssh.ts";
import { openStack } from "../stack.ts";
import { huggingfaceToken } from "../stackSecrets.ts";
import { type Context, hint } from "./command.ts";
import { assemblyOf } from "./upstreams.ts";

/** `atelier bundle create|serve|push <folder>`: all that a stack is made of, in one folder. */
export async function bundle(context: Context): Promise<number> {
  const { options } = context;
  const { action, args } = options;
  const [folder, ...more] = args;
  if (!folder || more.length > 0) throw new UsageError(`\`bundle ${action}\` takes one folder.`);
  const path = resolve(folder);
  if (action === "create") return create(path, context);
  if (options.upstreams !== undefined)
    throw new UsageError("--upstreams says where `bundle create` gets things from; it belongs to no other action.");
  const manifest = readManifest(path);
  return action === "serve" ? serve(path, manifest, context) : push(path, manifest, context);
}

async function create(folder: string, { options, terminal, interrupt }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const rehearsal = stack.settings.upstreams.profile === "rehearsal";
  let contents: ReturnType<typeof contentsOfLock>;
  let { upstreams } = rehearsal && options.all ? { upstreams: profiles.direct } : await assemblyOf(stack);
  if (options.all) {
    try {
      contents = contentsOfLock(pinnedInputs());
    } catch (error) {
      throw error instanceof LockError ? new UserError(messageOf(error), 2) : error;
    }
  } else {
    const assembly = await assemblyOf(stack);
    contents = contentsOfStack(stack.name, stack.settings, assembly);
    upstreams = assembly.upstreams;
    if (rehearsal)
      terminal.line("A rehearsal's bundle: stand-ins of this machine, which are in no lock; the packages are real.");
  }
  try {
    makeFolder(folder);
  } catch (error) {
    throw new UserError(`${folder} can't be the bundle's folder: ${messageOf(error)}.`, 2);
  }
  const secret = await huggingfaceToken(stack);
  const token = secret === undefined ? undefined : { value: secret, hosts: tokenHosts };
  const manifest = await untilInterrupted(interrupt.signal, (signal) =>
    createBundle(folder, contents, upstreams, { say: (line) => terminal.line(`  ${line}`), signal, token }),
  ).catch((error: NodeJS.ErrnoException) => {
    // A disk that is read-only, full, or not one's own.
    throw error.syscall && error.path?.startsWith(folder)
      ? new UserError(`${folder} can't be written to: ${messageOf(error)}. Take another folder, or see to its disk.`)
      : error;
  });
  if (options.json)
    terminal.answer(
      JSON.stringify({ folder, for: manifest.for, files: manifest.files.length, bytes: sizeOf(manifest) }),
    );
  terminal.line(`${folder}: ${summary(manifest)}, ${inWords(sizeOf(manifest))}; every file checked.`);
  terminal.line("Not in it: Python itself, and what apt installs; such a host must have them.");
  return 0;
}

async function serve(folder: string, manifest: Manifest, { options, terminal, interrupt }: Context): Promise<number> {
  const port = options.port === undefined ? 0 : Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port is a number from 1 to 65535, not \`${options.port}\`.`);
  const serving = await serveBundle(folder, manifest, port).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "EADDRINUSE"
      ? new UserError(`Port ${port} of 127.0.0.1 is taken: choose another --port.`)
      : error;
  });
  terminal.line(`Serving ${summary(manifest)} for ${manifest.for} on loopback. For plain \`pulumi\`:`);
  const env = { ATELIER_UPSTREAMS: `bundle:${serving.base}`, ATELIER_BUNDLE: folder };
  if (options.json) terminal.answer(JSON.stringify({ folder, for: manifest.for, url: serving.base, env }));
  else {
    terminal.answer(`export ATELIER_UPSTREAMS=${env.ATELIER_UPSTREAMS}`);
    terminal.answer(`export ATELIER_BUNDLE='${folder.replaceAll("'", "'\\''")}'`);
  }
  terminal.line("Ctrl-C ends it.");
  await interrupt.untilPressed();
  await serving.close();
  return 0;
}

/** What came so far stays as it is: the next run goes on there. */
async function untilInterrupted<T>(interrupt: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await work(interrupt);
  } catch (error) {
    if (!interrupt.aborted) throw error;
    await endRequests();
    throw new Interrupted("Interrupted. What came so far stays; the same command goes on from there.");
  }
}

async function push(folder: string, manifest: Manifest, { options, terminal, interrupt }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const assembly = await assemblyOf(stack);
  const lacks = lacksOf(manifest, contentsOfStack(stack.name, stack.settings, assembly));
  const say = (line: string) => terminal.line(`  ${line}`);
  const { where, cache } = await untilInterrupted(interrupt.signal, (signal) =>
    overDrops({ open: () => openSession(stack), say, signal }, (session, left) =>
      pushBundle(folder, manifest, session, { say, left }),
    ),
  );
  rememberBundle(options.stack, folder, manifest);
  const unknown = (name: string) => assembly.models.some((model) => model.name === name && model.sha256 === undefined);
  for (const name of keepPushed(manifest.models.filter((model) => unknown(model.name))))
    terminal.line(
      `model ${name}: the bundle has another file than this machine recorded at its first download, which up wants: \`bundle create\` takes that one, or say sha256 in its entry.`,
    );
  if (options.json)
    terminal.answer(JSON.stringify({ folder, host: where, cache, files: manifest.files.length, lacks }));
  const dify = manifest.images.length + manifest.plugins.length > 0;
  if (dify)
    terminal.line(
      `Dify's images and plugins stay in ${folder}: up brings them to Dify's Docker engine from there, so keep the folder until then.`,
    );
  terminal.line(`Everything ${dify ? "else " : ""}of ${folder} is in ${cache} on ${where}.`);
  if (lacks.length > 0)
    terminal.line(
      `It was made for ${manifest.for}, and has not all that stack \`${stack.name}\` wants: ${shortened(lacks)}. ` +
        `What the host's cache lacks too, an offline up refuses. A bundle with all of it: ${hint(`bundle create ${quoted(folder)}`, stack.name)}`,
    );
  terminal.line(`Now: ${hint("up", stack.name)} --upstreams offline`);
  return 0;
}

const summary = ({ git, wheels, models, images, plugins }: Manifest): string =>
  [
    plural(git.length, "repository", "repositories"),
    plural(wheels.length, "package file"),
    plural(models.length, "model"),
    "the tokenizer",
    ...(images.length > 0 ? [`${plural(images.length, "image")} of Dify`] : []),
    ...(plugins.length > 0 ? [plural(plugins.length, "plugin")] : []),
  ].join(", ");

const shortened = (names: string[]): string =>
  names.length > 6 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");

const sizeOf = ({ files }: Manifest): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
