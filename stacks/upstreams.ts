import type { Model } from "./schema/models.ts";
import type { UpstreamSettings } from "./schema/upstreams.ts";
import { SettingsError } from "./schema.ts";
import type { RehearsalUpstreams } from "./settings.ts";

/** Where things come from, by kind: base URLs, in the order in which they are tried. */
export interface Upstreams {
  git: string[];
  /** Indexes. `default` is the client's own, `offline` none: only what is in the host's cache. */
  pypi: string[];
  huggingface: string[];
  modelscope: string[];
  /** Mirrors with a folder a distribution. `default` is what the host's own lists name, `offline` none. */
  apt: string[];
  conda: string[];
  /** Releases of python-build-standalone. */
  uvPython: string[];
  /** Registry mirrors, in front of Docker's own. */
  docker: string[];
  /** `auto`: the host measures, once, and takes the fastest first. `given`: in this order, those that are silent last. */
  order: "auto" | "given";
}

type Kinds = Omit<Upstreams, "order">;

const uvReleases = "https://github.com/astral-sh/python-build-standalone/releases/download";
const direct: Kinds = {
  git: ["https://github.com/"],
  pypi: ["default"],
  huggingface: ["https://huggingface.co/"],
  modelscope: ["https://modelscope.cn/models/"],
  apt: ["default"],
  conda: [],
  uvPython: [uvReleases],
  docker: [],
};
// Mirrors of the mainland, and the originals last: a commit or a sha256 proves itself, whoever serves it.
const china: Kinds = {
  git: ["https://gitclone.com/github.com/", "https://ghfast.top/https://github.com/", "https://github.com/"],
  pypi: ["https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.aliyun.com/pypi/simple", "default"],
  huggingface: ["https://hf-mirror.com/", "https://huggingface.co/"],
  modelscope: ["https://modelscope.cn/models/"],
  apt: ["https://mirrors.tuna.tsinghua.edu.cn"],
  conda: ["https://mirrors.tuna.tsinghua.edu.cn/anaconda"],
  uvPython: ["https://mirror.nju.edu.cn/github-release/astral-sh/python-build-standalone", uvReleases],
  docker: ["https://docker.m.daocloud.io"],
};
const offline: Kinds = {
  git: [],
  pypi: ["offline"],
  huggingface: [],
  modelscope: [],
  apt: ["offline"],
  conda: [],
  uvPython: [],
  docker: [],
};
const kinds = Object.keys(direct) as (keyof Kinds)[];
const both = Object.fromEntries(
  kinds.map((kind) => [kind, [...new Set([...direct[kind], ...china[kind]])]]),
) as unknown;

/** The table of upstreams: the profiles that settings may name, but the rehearsal's, whose upstreams are this machine's own. */
export const profiles: Record<"direct" | "china" | "offline" | "auto", Upstreams> = {
  direct: { ...direct, order: "given" },
  china: { ...china, order: "given" },
  offline: { ...offline, order: "given" },
  auto: { ...(both as Kinds), order: "auto" },
};

/** What stands in for the profile during one command: `--upstreams`, by way of the environment. */
export type UpstreamsOverride = { profile: keyof typeof profiles } | { bundle: string };

/**
 * Reads `ATELIER_UPSTREAMS`: a profile's name, or `bundle:<base URL>` where a bundle is served.
 * @throws Error for anything else
 */
export function readOverride(text: string | undefined, stack: string): UpstreamsOverride | undefined {
  if (!text) return undefined;
  const [, base] = /^bundle:(https?:\/\/.+)$/.exec(text) ?? [];
  if (base) return { bundle: base.endsWith("/") ? base : `${base}/` };
  if (Object.hasOwn(profiles, text)) return { profile: text as keyof typeof profiles };
  throw new SettingsError(stack, [
    `ATELIER_UPSTREAMS (in the environment): got ${JSON.stringify(text)}; accepted: ${Object.keys(profiles).join(", ")}, bundle:<base URL>`,
  ]);
}

/** A served bundle as upstreams: all that it has, and nothing else is asked. */
const bundled = (base: string): Upstreams => ({
  ...profiles.offline,
  git: [`${base}git/`],
  pypi: [`${base}simple`],
  huggingface: [`${base}hf/`],
});

/** The profile's upstreams, with the lists that the settings replace. */
export function chooseUpstreams(
  settings: UpstreamSettings,
  rehearsal: RehearsalUpstreams | undefined,
  override?: UpstreamsOverride,
): Upstreams {
  if (override) return "bundle" in override ? bundled(override.bundle) : profiles[override.profile];
  const base =
    settings.profile === "rehearsal"
      ? { ...profiles.direct, modelscope: [], ...(rehearsal && standIns(rehearsal)) }
      : profiles[settings.profile];
  const one = (url: string | undefined) => (url === undefined ? undefined : [url]);
  return {
    git: settings.git ?? base.git,
    pypi: settings.pypi ?? base.pypi,
    huggingface: settings.huggingface ?? base.huggingface,
    modelscope: settings.modelscope ?? base.modelscope,
    apt: one(settings.apt) ?? base.apt,
    conda: one(settings.condaMirror) ?? base.conda,
    uvPython: one(settings.uvPythonMirror) ?? base.uvPython,
    docker: settings.docker ?? base.docker,
    order: base.order,
  };
}

/** Only PyPI is real in a rehearsal: an empty list there means the client's own. */
const standIns = ({ git, pypi, huggingface, modelscope }: RehearsalUpstreams) => ({
  git,
  huggingface,
  modelscope,
  pypi: pypi.length > 0 ? pypi : ["default"],
});

/**
 * What preflight asks of each upstream: kind, base and an address below it whose answer tells of its speed: the list of refs, an index page,
 * the first bytes of a model. Where it finds its own probe, the host does.
 */
export function probes(
  upstreams: Upstreams,
  has: { repository: string; huggingface: string; modelscope?: string },
): string[] {
  const { git, pypi, huggingface, modelscope, apt, uvPython } = upstreams;
  const rows = (kind: string, bases: string[], path: string) =>
    bases.filter((base) => base !== "offline").map((base) => `${kind}\t${base}\t${base.replace(/\/$/, "")}/${path}`);
  return [
    ...rows("git", git, `${has.repository}/info/refs?service=git-upload-pack`),
    ...rows("pypi", pypi, "pip/"),
    ...rows("huggingface", huggingface, has.huggingface),
    ...(has.modelscope
      ? rows("modelscope", modelscope, has.modelscope)
      : modelscope.map((base) => `modelscope\t${base}\t${base}`)),
    // Asked only where there is a choice: a box may well have its own, or need none.
    ...(apt.length > 1 ? rows("apt", apt, "") : []),
    ...(uvPython.length > 1 ? rows("uvPython", uvPython, "") : []),
  ];
}

/** The hosts that get the settings' token, and no other: a mirror is somebody else's. */
export const tokenHosts: readonly string[] = ["huggingface.co"];

/** Every URL that a model can be had from, best first. */
export function modelUrls(
  model: Pick<Model, "sources">,
  upstreams: Pick<Upstreams, "huggingface" | "modelscope">,
): string[] {
  const urls = model.sources.flatMap((source) => {
    if ("url" in source) return [source.url];
    if ("huggingface" in source) return upstreams.huggingface.map((base) => base + source.huggingface);
    return upstreams.modelscope.map((base) => base + source.modelscope);
  });
  // A mirror may be an upstream of its own, too.
  return [...new Set(urls)];
}
