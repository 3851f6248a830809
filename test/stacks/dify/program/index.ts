// The containers of a Dify alone, as stacks/dify.ts has them made: settings by the stack's configuration, images by tests.
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "../../../../stacks/assembly.ts";
import { difyOfContainers } from "../../../../stacks/dify/containers.ts";
import { difyTarget } from "../../../../stacks/dify/target.ts";
import type { DifyArgs } from "../../../../stacks/dify.ts";
import { parseSettings } from "../../../../stacks/schema.ts";

const config = new pulumi.Config("atelier");
const read = <T>(key: string) => JSON.parse(config.require(key)) as T;
const stack = pulumi.getStack();
const settings = parseSettings(read("settings"), stack);
const mistakes: string[] = [];
const facts = read<Parameters<typeof difyTarget>[0]["facts"]>("facts");
const target = difyTarget({ settings: { ...settings, dify: settings.dify! }, lock: undefined, facts }, mistakes);
if (!target || mistakes.length > 0) throw new pulumi.RunError(mistakes.join("\n"));

const upstreams = { docker: read<string[]>("mirrors"), pypi: ["default"] };
const ready = new command.local.Command("webui-ready", { create: "true" });
const args = {
  target,
  settings,
  assembly: { upstreams, offline: read<boolean>("offline") } as unknown as Assembly,
  host: read<DifyArgs["host"]>("host"),
  webui: {
    user: "atelier",
    password: pulumi.secret("p"),
    url: pulumi.output(`http://127.0.0.1:${settings.webui.port}`),
    ready,
  },
} as unknown as DifyArgs;
const parent = new pulumi.ComponentResource("atelier:dify:Dify", "dify");
const place = difyOfContainers(args, parent);
// Stands for the wiring.
new command.local.Command("wired", { create: "true" }, { dependsOn: place.ready });

export const url = place.url;
export const email = place.email;
export const password = pulumi.secret(place.password);
export const initPassword = pulumi.secret(place.initPassword ?? "");
export const webuiUrl = place.webuiUrl;
