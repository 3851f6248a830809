import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHostSettings } from "../schema/host.ts";
import type { WebuiSettings } from "../schema/webui.ts";
import type { Host } from "../settings.ts";
import type { Upstreams } from "../upstreams.ts";
import { DockerFacts } from "./facts.ts";
import { fingerprintLabel, fingerprintOf } from "./fingerprint.ts";
import { SshKey } from "./keys.ts";
import type { EngineLogin } from "./login.ts";
import { cudaArgs, mount, publishedPorts, sshListen, workspace } from "./place.ts";

export interface DockerBoxArgs {
  settings: DockerHostSettings;
  webui: WebuiSettings;
  upstreams: Upstreams;
  /** The host as the settings tell it: its address, and the way there. */
  told: Host;
  login: EngineLogin;
}

/**
 * A container as the GPU box: an SSH server, the GPUs, and a volume that outlives it. All the rest is done over SSH, by the same steps
 * as on any box. Its keys are made here and known to nobody else.
 */
export class DockerBox extends pulumi.ComponentResource {
  readonly host: Host;

  constructor(name: string, args: DockerBoxArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("atelier:docker:DockerBox", name, {}, opts);
    const { settings, webui, told, login } = args;
    const called = boxName();
    const parent = { parent: this };
    const provider = new docker.Provider("docker", providerArgs(login), parent);
    const own = { parent: this, provider };
    const hostKey = new SshKey("box-host-key", called, parent);
    const loginKey = new SshKey("box-login-key", called, parent);

    // What the box is known by, on the engine as on the line.
    const fingerprint = hostKey.publicKey.apply(fingerprintOf);
    const labels = [
      { label: "atelier.stack", value: `${pulumi.getProject()}/${pulumi.getStack()}` },
      { label: fingerprintLabel, value: fingerprint },
    ];

    const image = settings.image ?? imageName(...Object.values(cudaArgs(settings, args.upstreams)));
    const facts = new DockerFacts(
      "docker-facts",
      {
        engine: login,
        container: called,
        image: settings.image ? "" : image,
        volume: settings.volume ? "" : called,
        fingerprint,
      },
      parent,
    );
    const source = settings.image
      ? new docker.RemoteImage("image", { name: image, keepLocally: true }, own)
      : new docker.Image("image", buildArgs(args, image, facts), own);
    // Outlives `down`, as the cache of any host does; `down --purge` takes it.
    const volume = settings.volume?.startsWith("/")
      ? undefined
      : new docker.Volume(
          "volume",
          { name: settings.volume ?? called, labels },
          // One of before has none, and would be made anew for them.
          { ...own, dependsOn: [facts], retainOnDelete: true, ignoreChanges: ["labels"] },
        );

    const uploads = pulumi.all([hostKey.privateKey, loginKey.publicKey]).apply(([key, authorized]) => [
      { file: "/etc/atelier/host_key", content: key, permissions: "0600" },
      { file: "/etc/atelier/authorized_keys", content: `${authorized}\n`, permissions: "0600" },
    ]);
    const gpus = settings.gpus === "all" ? "all" : `device=${settings.gpus.join(",")}`;
    const container = new docker.Container(
      "box",
      {
        name: called,
        image,
        hostname: called,
        restart: "unless-stopped",
        networkMode: settings.network,
        ports: publishedPorts(settings, webui).map((port) => ({ ...port, protocol: "tcp" })),
        envs: [`ATELIER_WORKSPACE=${workspace}`, `ATELIER_SSH_LISTEN=${sshListen(settings)}`],
        mounts: [
          volume
            ? { type: "volume", source: volume.name, target: mount }
            : { type: "bind", source: settings.volume ?? "", target: mount },
        ],
        uploads,
        labels: [...labels, { label: "atelier.token", value: facts.containerToken }],
        ...(settings.gpu === "required" ? { gpus } : {}),
      },
      { ...own, dependsOn: [source], deleteBeforeReplace: true },
    );
    // Known once the container is there: nothing dials one that is yet to be made.
    const when = <T>(value: pulumi.Input<T>) => pulumi.all([container.id, value]).apply(([, then]) => then as T);
    this.host = {
      ...told,
      address: when(told.address),
      port: when(told.port),
      hostKey: hostKey.publicKey,
      privateKey: loginKey.privateKey,
      patience: 30,
    };
    this.registerOutputs({});
  }
}

/** Of the container, and of the volume where the settings name none. */
const boxName = () => `${pulumi.getProject()}-${pulumi.getStack()}`;

function providerArgs({ host, ca, cert, key }: EngineLogin): docker.ProviderArgs {
  if (!ca) return { host };
  return { host, caMaterial: ca, certMaterial: pulumi.secret(cert ?? ""), keyMaterial: pulumi.secret(key ?? "") };
}

// Relative to the program's folder: a path of this machine would change the plan elsewhere.
const folder = "../images/cuda";

function buildArgs({ settings, upstreams }: DockerBoxArgs, imageName: string, facts: DockerFacts): docker.ImageArgs {
  return {
    imageName,
    skipPush: true,
    build: {
      context: folder,
      dockerfile: `${folder}/Dockerfile`,
      // What is locked is made for it.
      platform: "linux/amd64",
      args: {
        ...cudaArgs(settings, upstreams),
        // The first is the Dockerfile's own.
        TOKEN: facts.imageToken.apply((token) => (token === "first" ? "" : token)),
      },
      ...(settings.network === "host" ? { network: "host" } : {}),
    },
  };
}

/** Another text of what it is built from is another image, and so another container. */
function imageName(...built: string[]): string {
  const path = resolve(import.meta.dirname, "..", folder);
  const hash = createHash("sha256").update(built.join("\0"));
  for (const file of readdirSync(path).sort())
    hash.update(`\0${file}\0`).update(readFileSync(join(path, file), "utf8").replaceAll("\r\n", "\n"));
  return `atelier/cuda:${hash.digest("hex").slice(0, 12)}`;
}
