import * as pulumi from "@pulumi/pulumi";
import { GpuHost } from "./host.ts";
import { createModels } from "./models.ts";
import { Password } from "./password.ts";
import { readSettings } from "./settings.ts";
import { createProof, proofInput } from "./smoke.ts";
import { targetOf } from "./target.ts";
import { Webui, webuiAddress, webuiSteps } from "./webui.ts";

const stack = readSettings();
const { settings, assembly, dify: difyTarget } = stack;

const { host: target, publicUrl, tunnel } = await targetOf(stack);
const webuiPassword = new Password("webui-password", { length: 24 }).value;
const host = new GpuHost("host", {
  host: target,
  settings: settings.host,
  assembly,
  steps: webuiSteps(assembly),
  password: webuiPassword,
});
const models = createModels(host, settings, assembly);
const webui = new Webui("webui", { host, settings, assembly, models, password: webuiPassword });
const url = webuiAddress(settings, target, publicUrl);
const proofOf = proofInput(settings, tunnel, assembly, { password: webuiPassword, url, vram: webui.vram });
const smoke = createProof(
  "smoke",
  "smoke",
  { input: proofOf, version: webui.version },
  { dependsOn: [webui.ready.resource] },
);

const dify = difyTarget
  ? await (await import("./dify.ts")).createDify({
      target: difyTarget,
      settings,
      assembly,
      host: target,
      state: host.state,
      webui: { user: settings.webui.user, password: webuiPassword, url, ready: webui.ready.resource },
      smoke: { input: proofOf, resource: smoke },
    })
  : undefined;

/** The stack's outputs. A default export, since what a stack without a Dify lacks must not be named at all: the SDK warns of undefined ones. */
export default {
  webuiUrl: url,
  user: settings.webui.user,
  password: webuiPassword,
  /** The proof's checks and pictures, as JSON. */
  proof: pulumi.unsecret(smoke.stdout),
  /** What the live check after every update is told; a secret, for it holds the password. */
  liveCheck: pulumi.secret(pulumi.output<object>(dify?.live ?? proofOf).apply((input) => JSON.stringify(input))),
  ...(dify && {
    difyUrl: dify.url,
    difyUser: dify.email,
    difyPassword: dify.password,
    /** Each app and its page for people. */
    difyApps: dify.apps.map(({ name, mode, siteUrl }) => ({ name, mode, siteUrl })),
    /** Secrets, by the app's name. */
    difyApiKeys: Object.fromEntries(dify.apps.map(({ name, apiKey }) => [name, apiKey])),
    difyProof: dify.proof,
  }),
};
