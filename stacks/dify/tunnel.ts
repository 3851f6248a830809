import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DifyArgs } from "../dify.ts";
import { duration } from "./duration.ts";
import { dockerAction } from "./engine.ts";
import { dockerHostName, tunnelAlias, tunnelEntry } from "./reach.ts";
import { tagOf } from "./target.ts";
import type { WaysContext } from "./ways.ts";

const files = "/etc/atelier";

/**
 * A container that keeps an SSH tunnel to the WebUI's host open, with the stack's own login and that host's pinned key. It listens in
 * Dify's network; where the WebUI is on the Docker host itself, on the address by which containers know that host.
 */
export function openTunnel(
  { target, settings, host, assembly }: DifyArgs,
  network: "dify" | "host",
  { called, label, facts, networks, images: pulled, onEngine }: WaysContext,
): docker.Container {
  const { port } = settings.webui;
  const entry = tunnelEntry({ way: "tunnel", network }, port);
  const name = called("tunnel");
  const listen = network === "dify" ? "0.0.0.0" : dockerHostName;
  const { proxy } = target.settings;
  // The stand-in's image has an SSH client of this machine.
  const base = assembly.offline ? tagOf(target.tunnelBase) : target.tunnelBase;
  const hash = contentHash(base);
  const from = `atelier/tunnel-base:${hash}`;
  // A build asks Docker's own registry alone; what is there already under a name that no registry has, it takes.
  const got = dockerAction(
    "dify-tunnel-base",
    "images",
    {
      engine: target.engine,
      images: { tunnel: base },
      tags: { tunnel: from },
      mirrors: assembly.upstreams.docker,
      offline: assembly.offline,
      token: facts.token("images"),
    },
    { parent: onEngine.parent, dependsOn: [pulled] },
  );
  const image = buildImage({ hash, from, proxy, token: facts.token("images") }, { ...onEngine, dependsOn: [got] });
  const uploads = pulumi
    .all([host.address, host.port, host.user, host.hostKey, host.privateKey, host.password, host.privateKeyPassword])
    .apply(([address, sshPort, user, hostKey, privateKey, password, passphrase]) => {
      const secret = password ?? passphrase;
      return [
        {
          file: `${files}/ssh_config`,
          content: sshConfig({ address, port: sshPort, user, key: privateKey !== undefined }),
          permissions: "0600",
        },
        { file: `${files}/known_hosts`, content: `gpu ${hostKey}\n`, permissions: "0600" },
        ...(privateKey
          ? [
              {
                file: `${files}/key`,
                content: privateKey.endsWith("\n") ? privateKey : `${privateKey}\n`,
                permissions: "0600",
              },
            ]
          : []),
        ...(secret ? [{ file: `${files}/secret`, content: `${secret}\n`, permissions: "0600" }] : []),
      ];
    });
  return new docker.Container(
    "dify-tunnel",
    {
      name,
      image: image.imageName,
      envs: [`ATELIER_FORWARD=${listen}:${entry}:127.0.0.1:${port}`],
      ...(network === "host"
        ? { networkMode: "host" }
        : { networksAdvanced: [{ name: networks.default.name, aliases: [tunnelAlias] }] }),
      hosts: [{ host: dockerHostName, ip: "host-gateway" }],
      uploads: pulumi.secret(uploads),
      healthcheck: {
        tests: ["CMD", "/atelier/check"],
        interval: "10s",
        timeout: "15s",
        retries: 3,
        startPeriod: duration(60),
      },
      // No `wait`: it is up once the WebUI's host lets it in, which may yet be installing. dify-reach waits for what it is for.
      restart: "always",
      destroyGraceSeconds: 5,
      logDriver: "json-file",
      logOpts: { "max-size": "1m", "max-file": "2" },
      labels: label(name),
    },
    { ...onEngine, dependsOn: [image] },
  );
}

function sshConfig({
  address,
  port,
  user,
  key,
}: {
  address: string;
  port: number;
  user: string;
  key: boolean;
}): string {
  return [
    "Host gpu",
    `  HostName ${address}`,
    `  Port ${port}`,
    `  User ${user}`,
    "  HostKeyAlias gpu",
    `  UserKnownHostsFile ${files}/known_hosts`,
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",
    "  UpdateHostKeys no",
    ...(key
      ? [`  IdentityFile ${files}/key`, "  IdentitiesOnly yes", "  PreferredAuthentications publickey"]
      : ["  PreferredAuthentications password,keyboard-interactive", "  PubkeyAuthentication no"]),
    "  NumberOfPasswordPrompts 1",
    "  ConnectTimeout 20",
    "  ServerAliveInterval 15",
    "  ServerAliveCountMax 3",
    "  ExitOnForwardFailure yes",
    "  TCPKeepAlive yes",
    "  ControlMaster no",
    "  ControlPath none",
    "",
  ].join("\n");
}

// Relative to the program's folder: a path of this machine would change the plan elsewhere.
const folder = "../images/tunnel";

/** Of all that the image is built from. */
function contentHash(base: string): string {
  const path = resolve(import.meta.dirname, "..", folder);
  const hash = createHash("sha256").update(base);
  for (const file of readdirSync(path).sort())
    hash.update(`\0${file}\0`).update(readFileSync(join(path, file), "utf8").replaceAll("\r\n", "\n"));
  return hash.digest("hex").slice(0, 12);
}

function buildImage(
  { hash, from, proxy, token }: { hash: string; from: string; proxy: string | undefined; token: pulumi.Output<string> },
  opts: pulumi.CustomResourceOptions,
): docker.Image {
  const proxies: Record<string, string> = proxy ? { http_proxy: proxy, https_proxy: proxy } : {};
  return new docker.Image(
    "dify-tunnel-image",
    {
      imageName: `atelier/tunnel:${hash}`,
      skipPush: true,
      build: {
        context: folder,
        dockerfile: `${folder}/Dockerfile`,
        args: { BASE: from, TOKEN: token, ...proxies },
      },
    },
    opts,
  );
}
