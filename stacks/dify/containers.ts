import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { type DifyService, difyServices } from "../../images/dify.ts";
import type { DifyArgs } from "../dify.ts";
import { fingerprintLabel, fingerprintOf } from "../docker/fingerprint.ts";
import { directHosts } from "./direct.ts";
import { duration } from "./duration.ts";
import { dockerAction, dockerProvider, EngineFacts, secretLogin } from "./engine.ts";
import type { EnvironmentArgs } from "./environment.ts";
import type { DifyPlace } from "./place.ts";
import { dockerHostName } from "./reach.ts";
import { makeSecrets } from "./secrets.ts";
import { type ServiceSpec, services, type VolumeName, volumeNames } from "./services.ts";
import { tagOf } from "./target.ts";
import { nginxConf, redisConf, sandboxConf, squidConf, wheelsUrl } from "./texts.ts";
import { waysIn } from "./ways.ts";

const publicKeyFile = "/etc/atelier/plugins.pem";

/** Dify's services on a Docker engine, each made once what it leans on is healthy. */
export function difyOfContainers(args: DifyArgs, parent: pulumi.Resource): DifyPlace {
  const { target, assembly } = args;
  const { settings, engine, images } = target;
  const withStore = settings.vectorStore === "weaviate";
  const names = difyServices.filter((service) => withStore || service !== "weaviate");
  const owner = `${pulumi.getProject()}/${pulumi.getStack()}`;
  const called = (what: string) => `${pulumi.getProject()}-${pulumi.getStack()}-dify-${what}`;
  const own = { parent };
  const secrets = makeSecrets(withStore, own);
  // What the plugins want of PyPI, where nothing may be fetched: out of a bundle, served by nginx inside.
  const withWheels = assembly.offline;
  const stores = volumeNames.filter((name) => ({ weaviate: withStore, wheels: withWheels })[name as string] ?? true);
  const fingerprint = pulumi.unsecret(secrets.db.apply(fingerprintOf));
  const wanted: Record<string, string> = Object.fromEntries(
    names.map((service) => [service, assembly.offline ? tagOf(images[service]) : images[service]]),
  );
  const mirrors = assembly.upstreams.docker;

  const networkNames = { default: called("net"), inside: called("inside") };
  const tunnel = target.reach.way === "tunnel" ? [called("tunnel")] : [];
  const facts = new EngineFacts(
    "dify-docker-facts",
    {
      engine: secretLogin(engine) as typeof engine,
      owner,
      fingerprint,
      containers: [...names.map(called), ...tunnel],
      networks: Object.values(networkNames),
      joins: Object.fromEntries(
        names.map((service) => [called(service), services[service].networks.map((net) => networkNames[net])]),
      ),
      // What is in the others is worth nothing without the database. Their names are known before its password is.
      volumes: Object.fromEntries(stores.map((name) => [called(`${name}-data`), name === "db" ? fingerprint : ""])),
      images: wanted,
      mirrors,
      offline: assembly.offline,
      plugins: [...new Set(Object.values(target.plugins))]
        .filter((plugin) => plugin.package === undefined)
        .map(({ id, version, identifier }) => ({ id, version, ...(identifier && { identifier }) })),
    },
    own,
  );
  const provider = dockerProvider(engine, own);
  const onEngine = { parent, provider };
  const ownLabels = [
    { label: "atelier.dify", value: owner },
    { label: fingerprintLabel, value: fingerprint },
  ];
  const label = (name: string) => [...ownLabels, { label: "atelier.token", value: facts.token(name) }];
  const network = (name: string, internal: boolean) =>
    new docker.Network(
      `dify-${internal ? "inside" : "net"}`,
      { name, internal, labels: label(name) },
      // Two networks of one name would be two networks.
      { ...onEngine, dependsOn: [facts], deleteBeforeReplace: true },
    );
  const networks = { default: network(networkNames.default, false), inside: network(networkNames.inside, true) };
  const volumeLabels: Record<string, pulumi.Input<string>> = {
    "atelier.dify": owner,
    [fingerprintLabel]: fingerprint,
  };
  const volumes = Object.fromEntries(
    stores.map((name) => [
      name,
      new docker.Volume(
        `dify-${name}-data`,
        {
          name: called(`${name}-data`),
          labels: Object.entries(volumeLabels).map(([label, value]) => ({ label, value })),
        },
        // One of before has fewer, and would be made anew for them.
        { ...onEngine, dependsOn: [facts], ignoreChanges: ["labels"] },
      ),
    ]),
  ) as Record<VolumeName, docker.Volume>;
  const storeToken = (name: VolumeName) => facts.token(called(`${name}-data`));
  // Those that are gone from the engine: replaced as a resource, one that is there could be deleted by its name.
  const kept = dockerAction(
    "dify-volumes",
    "volumes",
    {
      engine,
      volumes: Object.fromEntries(stores.map((name) => [called(`${name}-data`), volumeLabels])),
      token: pulumi.all(stores.map(storeToken)).apply((tokens) => tokens.join("")),
    },
    { parent, dependsOn: Object.values(volumes) },
  );
  const pulled = dockerAction(
    "dify-images",
    "images",
    { engine, images: wanted, mirrors, offline: assembly.offline, token: facts.token("images") },
    { parent, dependsOn: [facts] },
  );
  const ids = pulled.stdout.apply((text) => (JSON.parse(text) as { images: Record<string, string> }).images);
  const imageOf = (service: DifyService) => ids.apply((known) => known[service] ?? "");

  const { tool, model } = target.plugins;
  const wheels = withWheels
    ? [
        dockerAction(
          "dify-wheels",
          "wheels",
          {
            engine,
            volume: volumes.wheels.name,
            image: imageOf("nginx"),
            name: called("wheels"),
            labels: volumeLabels,
            // Other plugins, or another bundle, are other wheels.
            token: pulumi.interpolate`${
              [tool, model].map(({ id, version }) => `${id} ${version}`).join(" ") + assembly.upstreams.pypi.join(" ")
            }${storeToken("wheels")}`,
          },
          { parent, dependsOn: [kept] },
        ),
      ]
    : [];

  // The API runs as a user of its own, and a new volume is root's.
  const storage = new docker.Container(
    "dify-storage-owner",
    {
      name: called("storage-owner"),
      image: imageOf("redis"),
      entrypoints: ["chown", "1001:1001", "/storage"],
      command: [],
      networkMode: "none",
      mounts: [{ type: "volume", source: volumes.storage.name, target: "/storage" }],
      attach: true,
      mustRun: false,
      // Another token is another volume, which is root's again. The first has none: nothing is made anew for that.
      labels: storeToken("storage").apply((token) => [
        ...ownLabels,
        ...(token ? [{ label: "atelier.token", value: token }] : []),
      ]),
    },
    { ...onEngine, dependsOn: [kept] },
  );

  const url = settings.publicUrl ?? publishedAt(args);
  const ways = waysIn(args, { called, label, labels: volumeLabels, facts, networks, images: pulled, onEngine, url });
  const environment: EnvironmentArgs = {
    settings,
    secrets,
    url,
    pypi: settings.pipMirror ?? (withWheels ? wheelsUrl : (assembly.upstreams.pypi.find(reachable) ?? "")),
    direct: pulumi.all([ways.host, networks.default.ipamConfigs]).apply(([host, configs = []]) =>
      directHosts(
        host,
        settings.model,
        configs.flatMap(({ subnet }) => subnet || []),
      ),
    ),
    publicKey: target.publicKey ? publicKeyFile : undefined,
  };
  const uploads: Partial<Record<DifyService, { file: string; content: pulumi.Input<string> }[]>> = {
    redis: [{ file: "/etc/atelier/redis.conf", content: secrets.redis.apply(redisConf) }],
    ssrf_proxy: [{ file: "/etc/squid/squid.conf", content: pulumi.secret(squidConf(settings.proxy)) }],
    sandbox: [{ file: "/conf/config.yaml", content: secrets.sandbox.apply(sandboxConf) }],
    nginx: [{ file: "/etc/nginx/conf.d/default.conf", content: nginxConf({ wheels: withWheels }) }],
    ...(target.publicKey ? { plugin_daemon: [{ file: publicKeyFile, content: target.publicKey }] } : {}),
  };

  const made: Partial<Record<DifyService, docker.Container>> = {};
  const make = (service: DifyService): docker.Container => {
    const spec = services[service];
    const after = [...spec.after, ...(withStore && service === "api" ? (["weaviate"] as const) : [])];
    return new docker.Container(
      `dify-${service.replace("_", "-")}`,
      {
        ...(spec.command ? { command: spec.command } : {}),
        name: called(service),
        hostname: service.replace("_", "-"),
        image: imageOf(service),
        envs: envsOf(spec, environment),
        networksAdvanced: spec.networks.map((name) => ({ name: networks[name].name, aliases: [service] })),
        mounts: [
          ...Object.entries(spec.volumes ?? {}).map(([name, where]) => ({
            type: "volume",
            source: volumes[name as VolumeName].name,
            target: where,
          })),
          ...(service === "nginx" && withWheels
            ? [{ type: "volume", source: volumes.wheels.name, target: "/wheels", readOnly: true }]
            : []),
        ],
        ...(uploads[service] ? { uploads: uploads[service] } : {}),
        ...(service === "plugin_daemon" ? { hosts: [{ host: dockerHostName, ip: "host-gateway" }] } : {}),
        ...(service === "nginx"
          ? { ports: [{ internal: 80, external: settings.port, ip: settings.listen, protocol: "tcp" }] }
          : {}),
        ...healthOf(spec, settings.timeout),
        restart: "unless-stopped",
        destroyGraceSeconds: 10,
        logDriver: "json-file",
        logOpts: { "max-size": "10m", "max-file": "3" },
        labels: label(called(service)),
      },
      {
        ...onEngine,
        dependsOn: [
          ...after.map((other) => made[other]).filter((other) => other !== undefined),
          kept,
          ...(spec.volumes?.storage ? [storage] : []),
          ...Object.values(networks),
        ],
      },
    );
  };
  for (const service of names) made[service] = make(service);
  const reached = ways.check(imageOf("redis"), made.plugin_daemon as docker.Container);

  return {
    url,
    email: settings.email,
    // One that was changed in Dify's own pages is known only to the one who tells it.
    password: target.password === undefined ? secrets.admin : pulumi.secret(target.password),
    initPassword: secrets.init,
    own: true,
    webuiUrl: ways.url,
    ready: [...(Object.values(made) as docker.Container[]), ...wheels],
    reached: [reached],
  };
}

/** An index on a loopback, such as a served bundle's, is nobody's in a container. */
const reachable = (index: string): boolean => /^https?:\/\/(?!127\.|localhost\b|\[::1\])/.test(index);

/** Sorted: the same content is the same plan. */
function envsOf(spec: ServiceSpec, args: EnvironmentArgs): pulumi.Output<string[]> {
  return pulumi.output(spec.environment(args)).apply((variables) =>
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value}`)
      .sort(),
  );
}

function healthOf({ health }: ServiceSpec, timeout: number) {
  const start = health.start ?? timeout;
  return {
    healthcheck: {
      tests: health.test,
      interval: duration(health.every),
      timeout: duration(health.within ?? 20),
      retries: 5,
      startPeriod: duration(start),
    },
    wait: true,
    waitTimeout: start + 60,
  };
}

/** Where the control machine finds what is published: on the Docker host. */
function publishedAt({ target: { settings, engine } }: DifyArgs): string {
  const host = engine.host.startsWith("unix://") ? "127.0.0.1" : new URL(engine.host).hostname;
  return `http://${settings.listen === "0.0.0.0" ? host : settings.listen}:${settings.port}`;
}
