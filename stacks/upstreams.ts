import type { UpstreamSettings } from "./schema/upstreams.ts";
import type { RehearsalUpstreams } from "./settings.ts";

/** Base URLs by kind, in the order in which they are tried. An empty list: the client's own default. */
export interface Upstreams {
  git: string[];
  pypi: string[];
  huggingface: string[];
  modelscope: string[];
  /** "" where there is none. */
  apt: string;
  conda: string;
  uvPython: string;
}

const profiles: Record<"direct" | "china", Upstreams> = {
  direct: {
    git: ["https://github.com/"],
    pypi: [],
    huggingface: ["https://huggingface.co/"],
    modelscope: ["https://modelscope.cn/models/"],
    apt: "",
    conda: "",
    uvPython: "",
  },
  // Mirrors of the mainland, and the originals last: a commit or a sha256 proves itself, whoever serves it.
  china: {
    git: ["https://gitclone.com/github.com/", "https://ghfast.top/https://github.com/", "https://github.com/"],
    pypi: ["https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.aliyun.com/pypi/simple"],
    huggingface: ["https://hf-mirror.com/", "https://huggingface.co/"],
    modelscope: ["https://modelscope.cn/models/"],
    apt: "https://mirrors.tuna.tsinghua.edu.cn",
    conda: "https://mirrors.tuna.tsinghua.edu.cn/anaconda",
    uvPython: "https://mirror.nju.edu.cn/github-release/astral-sh/python-build-standalone",
  },
};

/** The profile's upstreams, with the lists that the settings replace. */
export function chooseUpstreams(settings: UpstreamSettings, rehearsal: RehearsalUpstreams | undefined): Upstreams {
  const profile = profiles[settings.profile === "china" ? "china" : "direct"];
  const base = settings.profile === "rehearsal" && rehearsal ? { ...profile, ...rehearsal } : profile;
  return {
    git: settings.git ?? base.git,
    pypi: settings.pypi ?? base.pypi,
    huggingface: settings.huggingface ?? base.huggingface,
    modelscope: settings.modelscope ?? base.modelscope,
    apt: settings.apt ?? base.apt,
    conda: settings.condaMirror ?? base.conda,
    uvPython: settings.uvPythonMirror ?? base.uvPython,
  };
}
