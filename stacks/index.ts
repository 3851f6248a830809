import * as pulumi from "@pulumi/pulumi";
import { GpuHost } from "./host.ts";
import { createModels } from "./models.ts";
import { Password } from "./password.ts";
import { readSettings } from "./settings.ts";
import { createSmoke, proofInput } from "./smoke.ts";
import { Webui, webuiSteps } from "./webui.ts";

const { settings, host: target, assembly } = readSettings();

const webuiPassword = new Password("webui-password", { length: 24 }).value;
const host = new GpuHost("host", { host: target, settings: settings.host, assembly, steps: webuiSteps });
const models = createModels(host, settings, assembly);
const webui = new Webui("webui", { host, settings, assembly, models, password: webuiPassword });
const proofOf = (secret: string) => proofInput(settings, target, assembly, secret);
const smoke = createSmoke(
  { input: webuiPassword.apply(proofOf), version: webui.version },
  { dependsOn: [webui.ready.resource] },
);

export const webuiUrl = assembly.url;
export const user = settings.webui.user;
export const password = webuiPassword;
/** The proof's checks and pictures, as JSON. */
export const proof = pulumi.unsecret(smoke.stdout);
/** What the live check after every update is told; a secret, for it holds the password. */
export const liveCheck = pulumi.secret(webuiPassword.apply((secret) => JSON.stringify(proofOf(secret))));
