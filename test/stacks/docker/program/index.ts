// The box alone, as stacks/target.ts has it made: settings by the stack's configuration.
import * as pulumi from "@pulumi/pulumi";
import { DockerBox } from "../../../../stacks/docker/box.ts";
import type { DockerHostSettings } from "../../../../stacks/schema/host.ts";
import { parseSettings } from "../../../../stacks/schema.ts";
import type { Upstreams } from "../../../../stacks/upstreams.ts";

const config = new pulumi.Config("atelier");
const { host, webui } = parseSettings(JSON.parse(config.require("settings")), pulumi.getStack());
const settings = host as DockerHostSettings;
const told = { address: "127.0.0.1", port: settings.sshPort, user: "root", hostKey: "", workspace: "/w", cache: "/c" };
const upstreams = { docker: [] as string[], apt: ["default"] } as unknown as Upstreams;
const box = new DockerBox("box", { settings, webui, upstreams, told, login: { host: settings.docker.host } });

export const hostKey = box.host.hostKey;
