/** The release that is made here, and whose wiring was tried (docs/verified.md). */
export const difyVersion = "1.14.2";

/** Dify's services, in the order of their start. */
export const difyServices = [
  "db",
  "redis",
  "weaviate",
  "ssrf_proxy",
  "sandbox",
  "api",
  "worker",
  "worker_beat",
  "plugin_daemon",
  "web",
  "nginx",
] as const;
export type DifyService = (typeof difyServices)[number];

/**
 * The images of the release's own compose file; what has no version there (nginx, squid) is pinned here.
 * Digests stand in atelier.lock: `npx atelier lock` asks a registry for them.
 */
export const difyImages: Record<DifyService, string> = {
  db: "postgres:15-alpine",
  redis: "redis:6-alpine",
  weaviate: "semitechnologies/weaviate:1.27.0",
  ssrf_proxy: "ubuntu/squid:6.6-24.04_beta",
  sandbox: "langgenius/dify-sandbox:0.2.15",
  api: `langgenius/dify-api:${difyVersion}`,
  worker: `langgenius/dify-api:${difyVersion}`,
  worker_beat: `langgenius/dify-api:${difyVersion}`,
  plugin_daemon: "langgenius/dify-plugin-daemon:0.6.1-local",
  web: `langgenius/dify-web:${difyVersion}`,
  nginx: "nginx:1.28.0-alpine",
};

/** What the image of the tunnel to a WebUI on loopback is built on (images/tunnel). */
export const tunnelBase = "alpine:3.21";

export interface DifyPlugin {
  /** `<author>/<name>`, as the marketplace has it. */
  id: string;
  version: string;
}

/**
 * Plugins by what they are for: the tool, and each provider of `dify.model`. Their marketplace identifiers end in the checksum of the
 * signed package, which only the marketplace knows: `npx atelier lock` asks it. A package packed by hand has another one.
 */
export const difyPlugins = {
  tool: { id: "langgenius/stablediffusion", version: "0.0.7" },
  openai_api_compatible: { id: "langgenius/openai_api_compatible", version: "0.0.63" },
  tongyi: { id: "langgenius/tongyi", version: "0.2.13" },
  zhipuai: { id: "langgenius/zhipuai", version: "0.0.33" },
  ollama: { id: "langgenius/ollama", version: "1.0.0" },
} as const satisfies Record<string, DifyPlugin>;
