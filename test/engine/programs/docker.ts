// A small application on Docker: a network, a volume, an image that is there, one that is built, and containers of both kinds.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const word = config.get("word") ?? "hello";
const memory = config.getNumber("memory") ?? 64;
const password = config.requireSecret("password");
const provider = new docker.Provider("engine", {
  host: config.require("host"),
  registryAuth: [{ username: "ann", password, address: "registry.example" }],
});
const opts = { provider };

const net = new docker.Network("net", { labels: [{ label: "of", value: "test" }] }, opts);
const vol = new docker.Volume("vol", {}, opts);
const box = new docker.RemoteImage("box", { name: "local/box:1", keepLocally: true }, opts);
const built = new docker.Image(
  "built",
  {
    imageName: "local/built:1",
    skipPush: true,
    build: { context: "app", dockerfile: "app/Dockerfile", args: { WORD: word }, builderVersion: "BuilderV1" },
  },
  opts,
);
const web = new docker.Container(
  "web",
  {
    image: box.imageId,
    command: ["/bin/sh", "-c", "while true; do httpd -f -p 8000 -h /data; done"],
    envs: ["PLAIN=1", pulumi.interpolate`PASSWORD=${password}`],
    ports: [{ internal: 8000, ip: "127.0.0.1" }],
    volumes: [{ volumeName: vol.name, containerPath: "/data" }],
    networksAdvanced: [{ name: net.name, aliases: ["web", "site"] }],
    healthcheck: {
      tests: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8000/"],
      interval: "1s",
      timeout: "3s",
      retries: 60,
    },
    uploads: [{ file: "/data/index.html", content: pulumi.interpolate`${word} ${password}` }],
    labels: [{ label: "of", value: "test" }],
    logOpts: { "max-size": "1m" },
    memory,
    // Left out, the official provider finds what the engine fills in and would take it away, at every run.
    memorySwap: 160,
    restart: "unless-stopped",
    wait: true,
  },
  opts,
);
const asking = new docker.Container(
  "asking",
  {
    image: built.repoDigest,
    networksAdvanced: [{ name: net.name }],
    command: ["/bin/sh", "-c", "cat /word; nslookup site >/dev/null && echo found"],
    attach: true,
    logs: true,
    mustRun: false,
  },
  { ...opts, dependsOn: [web] },
);

export const port = web.ports.apply((ports) => ports?.[0]?.external);
export const said = asking.containerLogs;
export const netId = net.id;
