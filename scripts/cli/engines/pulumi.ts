import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { EngineEvent } from "@atelier/engine/events";
import { makeFolder, readIfThere, writeWhole } from "../files.ts";
import { readPassphrase } from "../passphrase.ts";
import { backendUrl, home, passphraseFile, project, root, stackHome, stateDir } from "../paths.ts";
import { callPulumi, findPulumi, type PulumiCli } from "./cli.ts";
import type { Import, Operation, Runner, RunOptions, RunResult, Scope } from "./engine.ts";
import { EventLog } from "./eventLog.ts";
import { StateSecrets } from "./stateSecrets.ts";

/** The official CLI, on the same backend and passphrase, its events shown as the embedded engine's are. */
export class PulumiRunner implements Runner {
  readonly name = "pulumi";
  readonly #stack: string;
  readonly #settingsFile: string;
  readonly #cli: PulumiCli;

  constructor(stack: string, settingsFile: string, say: (line: string) => void) {
    this.#stack = stack;
    this.#settingsFile = settingsFile;
    this.#cli = findPulumi(say);
  }

  async run(operation: Operation, options: RunOptions): Promise<RunResult> {
    const { onEvent, signal, killSignal, preview = false } = options;
    const folder = join(stackHome(this.#stack), "pulumi");
    makeFolder(folder, 0o700);
    makeFolder(stateDir);
    const env = pulumiEnvironment();
    await this.#ensureStack(folder, env);
    const events = join(folder, `events-${process.pid}.json`);
    sweep(folder);
    const settings = copySettings(this.#stack, this.#settingsFile);
    const args = [
      operation,
      "--stack",
      this.#stack,
      "--config-file",
      settings,
      "--event-log",
      events,
      "--non-interactive",
    ];
    if (operation !== "preview") args.push(...(preview ? ["--preview-only"] : ["--yes", "--skip-preview"]));
    args.push(...(operation === "import" ? importArguments(options.imports) : scopeArguments(options)));
    let failures = 0;
    const secrets = new StateSecrets(this.#stateFile, readPassphrase(env));
    let told: Promise<void> = Promise.resolve();
    const tell = (event: EngineEvent): void => {
      // What a command prints comes as a message; the rest is masked by the CLI itself.
      const certain = event.diagnosticEvent !== undefined;
      told = told.then(async () => onEvent(await secrets.mask(event, { certain })));
    };
    const log = new EventLog(events, (event) => {
      // The CLI's word about a plugin on PATH, which is where it is meant to be.
      if (/^using pulumi-\S+ from \$PATH/.test(event.diagnosticEvent?.message ?? "")) return;
      if (event.diagnosticEvent?.severity === "error" || event.resOpFailedEvent) failures += 1;
      // The SDK's own: they hold whole resources, and tell nobody anything.
      if (event.diagnosticEvent?.severity !== "debug") tell(event);
    });
    try {
      const { code, stderr } = await this.#follow([...args, "--color", "never"], env, signal, killSignal);
      await log.close();
      // What failed before the first event (a lock, a plugin, a passphrase) is told on standard error alone.
      if (code !== 0 && failures === 0 && !signal.aborted)
        tell({ sequence: 0, timestamp: Date.now() / 1000, diagnosticEvent: { message: stderr, severity: "error" } });
      await told;
      if (code !== 0 && signal.aborted) return { result: "interrupted" };
      return { result: code === 0 ? "succeeded" : "failed" };
    } finally {
      await log.close();
      secrets.close();
      rmSync(events, { force: true });
    }
  }

  #follow(
    args: string[],
    env: NodeJS.ProcessEnv,
    signal: AbortSignal,
    killSignal: AbortSignal,
  ): Promise<{ code: number | null; stderr: string }> {
    return new Promise((resolve, reject) => {
      // A process group of its own: it gets one signal, from here, and not the terminal's as well, which would count as two.
      const child = spawn(this.#cli.command, [...this.#cli.prefix, ...args], {
        cwd: root,
        env,
        stdio: ["ignore", "ignore", "pipe"],
        detached: process.platform !== "win32",
      });
      let stderr = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr = (stderr + text).slice(-8192);
      });
      const tell = (name: NodeJS.Signals) => () => {
        if (child.pid === undefined || child.exitCode !== null) return;
        if (process.platform === "win32") child.kill(name);
        else process.kill(-child.pid, name);
      };
      const [interrupt, kill] = [tell("SIGINT"), tell("SIGKILL")];
      signal.addEventListener("abort", interrupt);
      killSignal.addEventListener("abort", kill);
      process.once("exit", kill);
      child.on("error", reject);
      child.on("close", (code) => {
        signal.removeEventListener("abort", interrupt);
        killSignal.removeEventListener("abort", kill);
        process.off("exit", kill);
        resolve({ code, stderr });
      });
    });
  }

  get #stateFile(): string {
    return join(stateDir, ".pulumi", "stacks", project, `${this.#stack}.json`);
  }

  /** `stack init` writes a salt into the settings file, so it runs in a project of its own, with the same name. */
  async #ensureStack(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
    if (existsSync(this.#stateFile)) return;
    writeWhole(join(folder, "Pulumi.yaml"), `name: ${project}\nruntime: nodejs\n`);
    rmSync(join(folder, `Pulumi.${this.#stack}.yaml`), { force: true });
    await callPulumi(this.#cli, ["stack", "init", this.#stack, "--no-select", "--non-interactive"], {
      cwd: folder,
      env,
    });
  }
}

/** Removes the event logs of runs that were killed: the CLI does not mask them. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = Number(/^events-(\d+)\.json$/.exec(name)?.[1]);
    if (pid === process.pid || (pid > 0 && !isRunning(pid))) rmSync(join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function scopeArguments(scope: Scope): string[] {
  const each = (flag: string, urns: string[] = []): string[] => urns.flatMap((urn) => [flag, urn]);
  return [
    ...each("--target", scope.targets),
    ...(scope.targetDependents ? ["--target-dependents"] : []),
    ...each("--exclude", scope.excludes),
    ...(scope.excludeDependents ? ["--exclude-dependents"] : []),
    ...each("--replace", scope.replace),
    ...(scope.refresh ? ["--refresh"] : []),
  ];
}

/** The CLI takes one on its command line; what it would write of code is ours to say. */
function importArguments([one]: Import[] = []): string[] {
  if (one === undefined) throw new Error("import was called without anything to import");
  return [
    one.type,
    one.name,
    one.id,
    ...(one.parent ? ["--parent", `parent=${one.parent}`] : []),
    ...(one.provider ? ["--provider", `provider=${one.provider}`] : []),
    `--protect=${one.protect}`,
    "--generate-code=false",
  ];
}

/**
 * A copy of the settings for the official CLI, which adds its salt to the file that it reads.
 * @returns the copy's path, under `.atelier/<stack>/`
 */
export function copySettings(stack: string, settingsFile: string): string {
  const copy = join(stackHome(stack), "pulumi", "settings", `Pulumi.${stack}.yaml`);
  writeWhole(copy, readIfThere(settingsFile) ?? "", 0o600);
  return copy;
}

/** What `pulumi` needs to work on this project's state: never the user's own login or passphrase prompt. */
function pulumiEnvironment(): NodeJS.ProcessEnv {
  const given = process.env.PULUMI_CONFIG_PASSPHRASE !== undefined || process.env.PULUMI_CONFIG_PASSPHRASE_FILE;
  readPassphrase();
  return {
    ...process.env,
    ATELIER_HOME: home,
    PULUMI_BACKEND_URL: backendUrl,
    ...(given ? {} : { PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile }),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // Without it there is no --event-log.
    PULUMI_DEBUG_COMMANDS: "true",
  };
}
