import * as pulumi from "@pulumi/pulumi";
import { describeStack } from "./assembly.ts";
import { GpuHost } from "./host.ts";
import { models } from "./models.ts";
import { Password } from "./password.ts";
import { readSettings } from "./settings.ts";
import { proofInput, Smoke } from "./smoke.ts";
import { Webui, webuiSteps } from "./webui.ts";

const { host: target, settings, rehearsal } = readSettings();
const { upstreams, sources, wheels, catalog, tokenizer, checkpoint, listen, url, wants, uvLock } = describeStack(
  settings,
  target,
  rehearsal,
);

const webuiPassword = new Password("webui-password", { length: 24 }).value;
const host = new GpuHost("host", {
  host: target,
  settings: settings.host,
  upstreams,
  steps: webuiSteps,
  wants,
  uvLock,
});
const files = models({
  host,
  models: catalog,
  tokenizer,
  upstreams,
  token: settings.huggingfaceToken ? pulumi.secret(settings.huggingfaceToken) : undefined,
  proxy: settings.host.proxy,
});
const webui = new Webui("webui", {
  host,
  settings,
  upstreams,
  sources,
  wheels,
  models: files,
  checkpoint,
  listen,
  password: webuiPassword,
});
const smoke = new Smoke(
  "smoke",
  { host: target, settings, url, password: webuiPassword, checkpoint, version: webui.version },
  { dependsOn: [webui.ready.resource] },
);

export const webuiUrl = url;
export const user = settings.webui.user;
export const password = webuiPassword;
/** The proof's checks and pictures, as JSON. */
export const proof = smoke.result;
/** What the live check after every update is told; a secret, for it holds the password. */
export const liveCheck = pulumi.secret(
  webuiPassword.apply((secret) => JSON.stringify(proofInput({ host: target, settings, url, checkpoint }, secret))),
);
