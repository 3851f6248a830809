import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./schema.ts";
import type { Host } from "./settings.ts";

export interface SmokeArgs {
  host: Host;
  settings: Settings;
  url: string;
  password: pulumi.Output<string>;
  checkpoint: string;
  /** A new one proves everything again. */
  version: pulumi.Output<string>;
}

/**
 * What the proof is told, by the `smoke` resource and by the live check after every update. Holds secrets.
 * With `tunnel`, `url` is the WebUI's own address on the host, reached through SSH.
 */
export function proofInput(
  { host, settings, url, checkpoint }: Omit<SmokeArgs, "password" | "version">,
  password: string,
) {
  const { proof, webui } = settings;
  return {
    url,
    user: webui.user,
    password,
    model: checkpoint,
    width: proof.width,
    height: proof.height,
    steps: proof.steps,
    sampler: proof.sampler,
    timeout: proof.timeout,
    xformers: webui.xformers,
    standIn: settings.upstreams.profile === "rehearsal",
    report: `${pulumi.getStack()}/report`,
    ...(webui.exposure === "tunnel" ? { tunnel: host } : {}),
  };
}

/** The pictures that prove the whole; runs on the control machine, and fails the update when one of them is wrong. */
export class Smoke extends pulumi.ComponentResource {
  /** The proof's own JSON. */
  readonly result: pulumi.Output<string>;

  constructor(name: string, args: SmokeArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("atelier:smoke:Smoke", name, {}, opts);
    const run = new command.local.Command(
      `${name}-pictures`,
      {
        // The program's folder is the working folder, whatever machine this is.
        create: "node ../healthchecks/main.ts smoke",
        update: "node ../healthchecks/main.ts smoke",
        stdin: pulumi
          .all([args.password, args.version])
          .apply(([password, version]) => JSON.stringify({ ...proofInput(args, password), version })),
        addPreviousOutputInEnv: false,
        logging: command.local.Logging.Stderr,
      },
      { parent: this, additionalSecretOutputs: ["stdin"] },
    );
    this.result = run.stdout;
    this.registerOutputs({});
  }
}
