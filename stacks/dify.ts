import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "./assembly.ts";
import { appPicture, modelName, toolModel } from "./dify/apps.ts";
import type { DifyPlace, WiredApp } from "./dify/place.ts";
import { createDifyProof, difyProofInput } from "./dify/proof.ts";
import type { DifyTarget } from "./dify/target.ts";
import { wireDify } from "./dify/wiring.ts";
import type { Settings } from "./schema.ts";
import { atelierHome, type Host } from "./settings.ts";
import type { proofInput } from "./smoke.ts";

export interface DifyArgs {
  target: DifyTarget;
  settings: Settings;
  assembly: Assembly;
  /** The WebUI's host. */
  host: Host;
  /** Tells this stack's state from that of another copy. */
  state: pulumi.Output<string>;
  webui: {
    user: string;
    /** A secret. */
    password: pulumi.Output<string>;
    /** Where people reach it. */
    url: pulumi.Output<string>;
    /** It draws once this is there. */
    ready: pulumi.Resource;
  };
  /** What the WebUI's own proof is told, and the proof. */
  smoke: { input: ReturnType<typeof proofInput>; resource: pulumi.Resource };
}

/** A Dify whose apps draw with the WebUI: made of containers or standing already, then wired, then proved. */
export class Dify extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly email: string;
  /** A secret. */
  readonly password: pulumi.Output<string>;
  readonly apps: WiredApp[];
  /** The proof's checks and pictures, as JSON. */
  readonly proof: pulumi.Output<string>;
  /** What the live check after every update is told. Holds secrets. */
  readonly live: pulumi.Output<object>;

  constructor(
    name: string,
    args: DifyArgs,
    place: (parent: Dify) => DifyPlace,
    opts: pulumi.ComponentResourceOptions = {},
  ) {
    super("atelier:dify:Dify", name, {}, opts);
    const { target, settings, assembly, webui, smoke } = args;
    const at = place(this);
    const { checkpoint, models } = assembly;
    const picture = appPicture(settings, assembly);
    const files = models.filter(({ kind }) => kind === "checkpoint").map(({ file }) => file);
    const wired = wireDify(
      {
        place: at,
        offline: assembly.offline,
        settings: target.settings,
        modelKey: target.modelKey === undefined ? undefined : pulumi.secret(target.modelKey),
        webui,
        checkpoint: modelName(checkpoint.file),
        drawing: { model: toolModel(checkpoint.file, files), ...picture },
        plugins: target.plugins,
        home: atelierHome(),
        state: args.state,
      },
      { parent: this },
    );
    const { agent, chatflow } = target.settings.apps;
    this.url = pulumi.output(at.url);
    this.email = at.email;
    this.password = pulumi.secret(at.password);
    this.apps = [
      { name: agent, mode: "agent-chat", ...wired.apps.agent },
      { name: chatflow, mode: "advanced-chat", ...wired.apps.chatflow },
    ];
    const admin = { email: this.email, password: this.password };
    const told = { input: smoke.input, url: this.url, admin, apps: this.apps, picture };
    this.live = difyProofInput(told);
    const proof = createDifyProof(
      { ...told, version: wired.stamp },
      // One after the other: a WebUI draws one picture at a time.
      { parent: this, dependsOn: [...wired.resources, smoke.resource] },
    );
    this.proof = pulumi.unsecret(proof.stdout);
    this.registerOutputs({});
  }
}

/** The Dify of a stack: somebody's, a rehearsal's process, or one of containers, whose code is loaded only then. */
export async function createDify(args: DifyArgs): Promise<Dify> {
  const { standing, reach } = args.target;
  if (!standing) {
    const { difyOfContainers } = await import("./dify/containers.ts");
    return new Dify("dify", args, (parent) => difyOfContainers(args, parent));
  }
  const { url, email, password, initPassword, own } = standing;
  return new Dify("dify", args, () => ({
    url,
    email,
    password: pulumi.secret(password),
    ...(initPassword === undefined ? {} : { initPassword: pulumi.secret(initPassword) }),
    own,
    webuiUrl: reach.way === "url" ? reach.url : args.webui.url,
    ready: [],
    reached: [],
  }));
}
