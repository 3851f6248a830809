import type * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { createProof, type proofInput } from "../smoke.ts";
import type { WiredApp } from "./place.ts";

export interface DifyProofArgs {
  /** What the WebUI's own proof is told. */
  input: ReturnType<typeof proofInput>;
  url: pulumi.Input<string>;
  /** Login of its console. */
  admin: { email: string; password: pulumi.Input<string> };
  apps: WiredApp[];
  /** Size of what they draw. */
  picture: { width: number; height: number };
  /** A new one proves both apps again. */
  version: pulumi.Input<string>;
}

/** What the proof of a Dify is told, and the live check after every update. Holds secrets. */
export function difyProofInput({
  input,
  url,
  admin,
  apps,
  picture: { width, height },
}: Omit<DifyProofArgs, "version">): pulumi.Output<object> {
  const keyed = apps.map(({ name, mode, apiKey, appId }) => ({ name, mode, apiKey, appId }));
  return pulumi.all([input, url, pulumi.output(admin), pulumi.output(keyed)]).apply(([told, at, login, known]) => ({
    ...told,
    dify: { url: at, admin: login, apps: known, width, height },
  }));
}

/** A streamed chat with each app, whose picture has to be the WebUI's. Fails the update where it is not. */
export function createDifyProof(args: DifyProofArgs, opts: pulumi.CustomResourceOptions): command.local.Command {
  return createProof("dify-proof", "dify", { input: difyProofInput(args), version: args.version }, opts);
}
