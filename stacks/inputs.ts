import { torchBuilds } from "../images/torch.ts";
import type { Assembly } from "./assembly.ts";
import type { HostSettings } from "./schema/host.ts";
import { hasLogin } from "./schema/words.ts";

// What a step is told by the settings and the pinned inputs alone: the same on a host and in the build of an image.

/** The proxy of the host's downloads; one with a login under a key that is secret, and masked on the host. */
export const proxyInputs = ({ proxy = "" }: Pick<HostSettings, "proxy">): Record<string, string> =>
  hasLogin(proxy) ? { proxy: "", proxy_secret: proxy } : { proxy };

/** Accepted Python versions, in order. */
export const pythonsOf = ({ python }: HostSettings): string[] =>
  python.flatMap((version) => (version === "any" ? ["3.10", "3.11", "3.12", "3.13", "3.14"] : [version]));

/** What torch asks of GPU and driver, and the other build, which preflight names where that one would do. */
export function torchInputs({ torch }: Pick<Assembly, "torch">) {
  const { version, cuda, minDriver, minSm, maxSm, cards } = torch;
  const [other, build] = Object.entries(torchBuilds).find(([, { wheels }]) => wheels !== torch.wheels) ?? [];
  return {
    torch: version,
    cuda,
    cards,
    min_driver: minDriver,
    min_sm: minSm,
    max_sm: maxSm,
    ...(build
      ? { other, other_min_driver: build.minDriver, other_min_sm: build.minSm, other_max_sm: build.maxSm }
      : {}),
  };
}

export function packagesInputs(host: HostSettings, { packages, upstreams }: Assembly) {
  return {
    packages,
    install: host.packages === "install" ? "yes" : "no",
    apt_mirror: upstreams.apt,
    ...proxyInputs(host),
  };
}

export function pythonInputs(host: HostSettings, { upstreams, uvLock }: Assembly) {
  const offline = upstreams.apt.includes("offline");
  return {
    python: pythonsOf(host),
    uv_lock: uvLock,
    pypi: upstreams.pypi,
    conda_mirror: upstreams.conda,
    uv_python_mirror: upstreams.uvPython,
    install: host.packages === "install" && !offline ? "yes" : "no",
    ...proxyInputs(host),
  };
}

export function sourcesInputs(host: HostSettings, { sources, upstreams }: Assembly) {
  return {
    sources: sources.map(({ name, into, commit, paths }) => [name, into, commit, paths.join(" ")].join("\t")),
    git: upstreams.git,
    ...proxyInputs(host),
  };
}

export function wheelsInputs(host: HostSettings, { sources, upstreams, wheels }: Assembly) {
  return {
    lock_name: wheels.name,
    lock: wheels.lock,
    pypi: upstreams.pypi,
    // CLIP is built from its sources.
    builds: sources.filter(({ name }) => name === "CLIP").map(({ name, into }) => `${name}\t${into}`),
    ...proxyInputs(host),
  };
}
