import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "./assembly.ts";
import type { Settings } from "./schema.ts";
import type { Host } from "./settings.ts";

/**
 * What the proof is told, by the `smoke` resource and by the live check after every update; see docs/architecture.md, "Proof".
 * Holds secrets. With `tunnel`, the URL is the WebUI's own address on the host, reached through SSH.
 */
export function proofInput(
  settings: Settings,
  host: Host,
  assembly: Assembly,
  { password, url }: { password: pulumi.Output<string>; url: pulumi.Output<string> },
) {
  const tunnel = settings.webui.exposure === "tunnel" ? host : undefined;
  return pulumi
    .all([password, url, pulumi.output(tunnel)])
    .apply(([secret, where, through]) => inputOf(settings, assembly, secret, where, through));
}

function inputOf(
  settings: Settings,
  assembly: Assembly,
  password: string,
  url: string,
  tunnel: pulumi.Unwrap<Host> | undefined,
) {
  const { proof, webui } = settings;
  const { checkpoint, sources, version } = assembly;
  return {
    url,
    user: webui.user,
    password,
    model: checkpoint.file,
    modelSha256: checkpoint.sha256,
    width: proof.width,
    height: proof.height,
    steps: proof.steps,
    sampler: proof.sampler,
    xformers: webui.xformers,
    version,
    commit: sources.find(({ name }) => name === "webui")?.commit,
    stand_in: settings.upstreams.profile === "rehearsal",
    // Relative to where a machine keeps what it made for itself: a path of this machine would change the plan elsewhere.
    reportDir: `${pulumi.getStack()}/report`,
    deadlines: { ready: proof.timeout, picture: proof.timeout, total: 6 * proof.timeout },
    ...(tunnel ? { tunnel } : {}),
  };
}

export interface SmokeArgs {
  input: ReturnType<typeof proofInput>;
  /** A new one proves everything again. */
  version: pulumi.Output<string>;
}

/**
 * The pictures that prove the whole. Runs on the control machine, and fails the update when one of them is wrong.
 * Its `stdout` is the proof's own JSON.
 */
export function createSmoke({ input, version }: SmokeArgs, opts: pulumi.CustomResourceOptions): command.local.Command {
  // The program's folder is the working folder, on whatever machine this is.
  const prove = "node ../healthchecks/main.ts smoke";
  return new command.local.Command(
    "smoke",
    {
      create: prove,
      update: prove,
      stdin: pulumi.all([input, version]).apply(([told, proves]) => JSON.stringify({ ...told, proves })),
      addPreviousOutputInEnv: false,
      logging: command.local.Logging.Stderr,
    },
    { ...opts, additionalSecretOutputs: ["stdin"] },
  );
}
