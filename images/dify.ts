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
 * Their digests stand in atelier.lock.
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

/** Something that only a registry or the marketplace knows for sure, as it was found where neither answered. */
interface Known {
  /** Where it stands, and how sure that is. */
  evidence: string;
}

const release = "a survey of Docker Hub of the release's day and GitHub Jeromefromcn/docker-gitops (2026-08) agree";
const official = (commit: string) => `GitHub docker-library/repo-info at ${commit}, which is written from Docker Hub`;

/**
 * Digests for a lock that is made where no registry answers; a registry's own answer comes before them. Each is of an image index, so it
 * holds for amd64 and arm64. Tags without a whole version (postgres, redis, alpine) have moved since, or will.
 */
export const difyDigests: Record<string, Known & { digest: string }> = {
  [difyImages.api]: {
    digest: "sha256:062815df8ed6fcf82285e55f3cb5586241b2828e6695a3fb8114bfb99b5e8517",
    evidence: release,
  },
  [difyImages.web]: {
    digest: "sha256:db73434e185ac778f31f4cc1adcce0dbe84b41a95ea5af58216acf095eed5f67",
    evidence: release,
  },
  [difyImages.plugin_daemon]: {
    digest: "sha256:fa7ad45e1b2a777cd243b902609abecb4fd924adcd13d21ef4258b5090a09be5",
    evidence: release,
  },
  [difyImages.sandbox]: {
    digest: "sha256:750e1111426ef31a9217b81c98cccfb750f17b182af3221102e420afa9f0928e",
    evidence: "five public files agree: a survey of Docker Hub, build files, and a listing of running containers",
  },
  [difyImages.ssrf_proxy]: {
    digest: "sha256:6a097f68bae708cedbabd6188d68c7e2e7a38cedd05a176e1cc0ba29e3bbe029",
    evidence: "some ten public files agree; one says that it is for several platforms",
  },
  [difyImages.db]: {
    digest: "sha256:f7d23353e1b15400d22ebe31189f4d314b87a4c129cc400c8c2d8d4ca127bf81",
    evidence: `${official("2e447048")} (PostgreSQL 15.19); ten other public files agree`,
  },
  [difyImages.redis]: {
    digest: "sha256:d0c875bdacfb5c4d2c2d9124de3f53cee1dc9ceff8936bd459fabc135cb33015",
    evidence: `${official("1742085a")} (Redis 6.2.24); ten other public files agree`,
  },
  [difyImages.nginx]: {
    digest: "sha256:30f1c0d78e0ad60901648be663a710bdadf19e4c10ac6782c235200619158284",
    evidence: "some twenty public files agree, one of them a listing of a running pod; one says that it is the index",
  },
  [difyImages.weaviate]: {
    digest: "sha256:53fa576934f8e2c9130dc3a61a0f9b7d9330fe0ff456ccb37db05d03b700abc9",
    evidence: "one listing of running containers, whose digest of the sandbox is an index's and right",
  },
  [tunnelBase]: {
    digest: "sha256:81ec32e1e073303f1591af7725ca32446d44d12907c1f4e2851a95031faaec99",
    evidence: `${official("1746b587")} (Alpine 3.21.8); found nowhere else`,
  },
};

export interface DifyPlugin {
  /** `<author>/<name>`, as the marketplace has it. */
  id: string;
  version: string;
  /** Of the marketplace's package: its identifier ends in it. A package packed by hand has another one. */
  checksum: string;
  /**
   * `seen`: public files have it as the marketplace told it. `computed`: made from the publisher's source, and seen nowhere whole; the
   * publisher also replaces packages without a new version. So `up` asks the marketplace first, and records what it says.
   */
  sure: "seen" | "computed";
  evidence: string;
}

/**
 * sha256 over sha256(path) and sha256(content) of every file of the package, in the order of paths. The files are those of the plugin's
 * folder, `requirements.txt` made from its `uv.lock`, and the marketplace's `.verification.dify.json`.
 * So computed, thirteen identifiers that public files show come out the same: of agent, tongyi, openai_api_compatible, ollama, tavily,
 * azure_openai, and of gemini_video, whose package was replaced without a new version.
 */
const computed = (commit: string, more = "") =>
  `computed from GitHub langgenius/dify-official-plugins at ${commit}${more}` as const;

/** Plugins by what they are for: the tool, and each provider of `dify.model`. */
export const difyPlugins = {
  tool: {
    id: "langgenius/stablediffusion",
    version: "0.0.7",
    checksum: "809d578e764519acb9ba547085d58303639966e912446f7980101dbf203e6fe0",
    sure: "computed",
    evidence: computed("16a7a7e3 (2026-07-20)", "; the first package of this version, of 2026-05-27, had 66a91b09…"),
  },
  openai_api_compatible: {
    id: "langgenius/openai_api_compatible",
    version: "0.0.63",
    checksum: "b39c569f256d7334417170b3b6e4015c205ef5fd7469989dd0b56dee4096cf85",
    sure: "computed",
    evidence: computed("7af22831 (2026-08-21)"),
  },
  tongyi: {
    id: "langgenius/tongyi",
    version: "0.2.13",
    checksum: "76feba79a09357673e1ebe24f1ec98123062d3f3198abe08551804def1fcd020",
    sure: "seen",
    evidence:
      "two public files, one of them a capture of the marketplace's answers; computed from e7a10b0a it is the same",
  },
  zhipuai: {
    id: "langgenius/zhipuai",
    version: "0.0.33",
    checksum: "a90640fd7217e023103e5cebc508a191340f7ad0702bcba5206610f1233b1280",
    sure: "computed",
    evidence: computed("eca4e125 (2026-08-14)"),
  },
  ollama: {
    id: "langgenius/ollama",
    version: "1.0.0",
    checksum: "86dd6101fbd9de94e6681782700fa98c8a785c982918e6fe0ec21d507e15ba3f",
    sure: "computed",
    evidence: computed(
      "007eaa3f (2026-08-01)",
      "; public files have its beginning, and ae50a2db… of the package before it",
    ),
  },
} as const satisfies Record<string, DifyPlugin>;
