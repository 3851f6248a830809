import { createHash } from "node:crypto";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "./assembly.ts";
import { HostFacts } from "./facts.ts";
import { packagesInputs, proxyInputs, pythonInputs, pythonsOf, torchInputs } from "./inputs.ts";
import { needsOf } from "./needs.ts";
import { readRecorded } from "./recorded.ts";
import { readRenamed } from "./renamed.ts";
import type { HostSettings } from "./schema/host.ts";
import { installer, uninstaller } from "./scripts.ts";
import { atelierHome, type Host, type Jump } from "./settings.ts";
import { createStep, type Step, type StepArgs, type StepInputs } from "./step.ts";

export interface GpuHostArgs {
  host: Host;
  settings: HostSettings;
  assembly: Assembly;
  /** Every later step's name, for host-facts. */
  steps: string[];
  /** What only this stack's state has, and no other clone's: the WebUI's password, of which a trace is left on the host. */
  password: pulumi.Output<string>;
}

/** A bare host made ready: reached, checked, with Atelier's scripts, its system packages and its Python. */
export class GpuHost extends pulumi.ComponentResource {
  readonly host: Host;
  readonly connection: command.types.input.remote.ConnectionArgs;
  readonly facts: HostFacts;
  /** Tells this stack's state from that of another clone. */
  readonly state: pulumi.Output<string>;
  readonly accelerator: string;
  readonly preflight: Step;
  readonly packages: Step;
  readonly python: Step;

  constructor(name: string, args: GpuHostArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("atelier:host:GpuHost", name, {}, opts);
    const { host, settings } = args;
    const { upstreams, offline, bundle, probes, wants } = args.assembly;
    this.host = host;
    this.accelerator = acceleratorOf(settings);
    this.connection = connectionTo(host);
    const own = ["scripts", "workspace", "preflight", "packages", "python"];
    const state = pulumi.unsecret(args.password.apply(traceOf));
    this.state = state;
    this.facts = new HostFacts(`${name}-facts`, { host, steps: [...own, ...args.steps], state }, { parent: this });

    const scripts = new command.remote.Command(
      "scripts",
      {
        connection: this.connection,
        create: "sh -s",
        update: "sh -s",
        delete: uninstaller(host.workspace),
        stdin: this.token("scripts").apply((token) => installer(host.workspace, token)),
        addPreviousOutputInEnv: false,
        logging: command.remote.Logging.Stderr,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    const renamed = readRenamed(atelierHome(), pulumi.getStack());
    const workspace = this.step("workspace", "00-workspace.sh", { owner: owner() }, [scripts]);
    this.preflight = this.step(
      "preflight",
      "10-preflight.sh",
      {
        gpu: settings.gpu,
        ...torchInputs(args.assembly),
        min_vram_mb: settings.gpu === "required" ? wants.minVramMb : 0,
        min_ram_mb: wants.minRamMb,
        disk_mb: wants.diskMb,
        port: wants.port,
        ...(wants.innerPort === undefined ? {} : { inner_port: wants.innerPort }),
        listen: wants.listen,
        owner: owner(),
        state,
        ...(renamed ? { renamed } : {}),
        upstreams: probes,
        upstreams_order: upstreams.order,
        offline: offline ? "yes" : "no",
        ...(offline
          ? {
              needs: needsOf(args.assembly, readRecorded(atelierHome())),
              bundle: bundle ?? "",
              manager: settings.serviceManager,
            }
          : {}),
        python: pythonsOf(settings),
        ...proxyInputs(settings),
      },
      [workspace.resource],
    );
    this.packages = this.step("packages", "20-packages.sh", packagesInputs(settings, args.assembly), [
      this.preflight.resource,
    ]);
    this.python = this.step("python", "30-python.sh", pythonInputs(settings, args.assembly), [this.packages.resource]);
    this.registerOutputs({});
  }

  /** Adds a step to this host. `name` is one of the `steps` that host-facts watches. What it makes goes, and is made anew, with `within`. */
  step(
    name: string,
    script: string,
    inputs: StepInputs,
    dependsOn: pulumi.Resource[],
    { within, ...more }: Pick<StepArgs, "secret" | "removeWithoutScript"> & { within?: Step } = {},
  ): Step {
    const { host, connection } = this;
    const token = this.token(name);
    const accelerated =
      this.accelerator && fromHubs.includes(name) ? { ...inputs, accelerator: this.accelerator } : inputs;
    return createStep(
      name,
      { host, connection, script, inputs: accelerated, token, ...more },
      { parent: this, dependsOn, ...(within ? { deletedWith: within.resource } : {}) },
    );
  }

  private token(step: string): pulumi.Output<string> {
    return this.facts.tokens.apply((tokens) => tokens[step] ?? "");
  }
}

/** The steps that fetch from GitHub and Hugging Face, and the one that asks whether they answer. */
const fromHubs = ["preflight", "sources", "models", "extensions"];

/** The platform's way to GitHub and Hugging Face. A proxy of the user's own goes first. */
function acceleratorOf(settings: HostSettings): string {
  if (settings.kind !== "ssh" || settings.proxy || settings.accelerator === "none") return "";
  return settings.accelerator ?? "";
}

/** Says nothing of a password that was made at random, and is another for each. */
const traceOf = (password: string) => createHash("sha256").update(`atelier ${password}`).digest("hex").slice(0, 16);

/** Who may use a workspace: one stack of one project. */
const owner = () => `${pulumi.getProject()}/${pulumi.getStack()}`;

function connectionTo(host: Host): command.types.input.remote.ConnectionArgs {
  const { privateKeyPassword, privateKey, password, jump } = host;
  return {
    host: host.address,
    port: host.port,
    user: host.user,
    hostKey: host.hostKey,
    ...(password ? { password: pulumi.secret(password) } : {}),
    ...(privateKey ? { privateKey: pulumi.secret(privateKey) } : {}),
    ...(privateKeyPassword ? { privateKeyPassword: pulumi.secret(privateKeyPassword) } : {}),
    // The pauses between attempts grow to 5 s: fourteen of them are the 30 s that a container may take.
    dialErrorLimit: host.patience ? 14 : 3,
    perDialTimeout: 15,
    ...(jump ? { proxy: proxyOf(jump) } : {}),
  };
}

function proxyOf({ address, port, user, hostKey, privateKey, privateKeyPassword }: Jump) {
  return {
    host: address,
    port,
    user,
    hostKey,
    ...(privateKey ? { privateKey: pulumi.secret(privateKey) } : {}),
    ...(privateKeyPassword ? { privateKeyPassword: pulumi.secret(privateKeyPassword) } : {}),
    dialErrorLimit: 3,
    perDialTimeout: 15,
  };
}
