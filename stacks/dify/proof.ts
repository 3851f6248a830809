import type * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "../assembly.ts";
import { createProof, type proofInput } from "../smoke.ts";
import type { WiredApp } from "./place.ts";

export interface DifyProofArgs {
  /** What the WebUI's own proof is told. */
  input: ReturnType<typeof proofInput>;
  url: pulumi.Input<string>;
  /** Login of its console. */
  admin: { email: string; password: pulumi.Input<string> };
  apps: WiredApp[];
  assembly: Assembly;
  /** A new one proves both apps again. */
  version: pulumi.Input<string>;
}

/** What the proof of a Dify is told, and the live check after every update. Holds secrets. */
export function difyProofInput({
  input,
  url,
  admin,
  apps,
  assembly,
}: Omit<DifyProofArgs, "version">): pulumi.Output<object> {
  const side = appSide(assembly);
  const keyed = apps.map(({ name, mode, apiKey, appId }) => ({ name, mode, apiKey, appId }));
  return pulumi.all([input, url, pulumi.output(admin), pulumi.output(keyed)]).apply(([told, at, login, known]) => ({
    ...told,
    dify: { url: at, admin: login, apps: known, width: side, height: side },
  }));
}

/** Pixels of a side of what the apps draw: what the checkpoint's family was made for. */
export const appSide = ({ checkpoint }: Assembly): number => (checkpoint.base === "sdxl" ? 1024 : 512);

/** A streamed chat with each app, whose picture has to be the WebUI's. Fails the update where it is not. */
export function createDifyProof(args: DifyProofArgs, opts: pulumi.CustomResourceOptions): command.local.Command {
  return createProof("dify-proof", "dify", { input: difyProofInput(args), version: args.version }, opts);
}
