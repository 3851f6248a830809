import type { UpstreamSettings } from "./schema.ts";
import type { RehearsalUpstreams } from "./settings.ts";

/** Base URLs by kind, in the order in which they are tried. An empty list: the client's own default. */
export interface Upstreams {
  git: string[];
  pypi: string[];
  huggingface: string[];
  modelscope: string[];
}

const profiles: Record<"direct" | "china", Upstreams> = {
  direct: {
    git: ["https://github.com/"],
    pypi: [],
    huggingface: ["https://huggingface.co/"],
    modelscope: ["https://modelscope.cn/models/"],
  },
  // Mirrors of the mainland, and the originals last: a commit or a sha256 proves itself, whoever serves it.
  china: {
    git: ["https://gitclone.com/github.com/", "https://ghfast.top/https://github.com/", "https://github.com/"],
    pypi: ["https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.aliyun.com/pypi/simple"],
    huggingface: ["https://hf-mirror.com/", "https://huggingface.co/"],
    modelscope: ["https://modelscope.cn/models/"],
  },
};

/** The profile's upstreams, with the lists that the settings replace. */
export function chooseUpstreams(settings: UpstreamSettings, rehearsal: RehearsalUpstreams | undefined): Upstreams {
  const base =
    settings.profile === "rehearsal" && rehearsal
      ? rehearsal
      : profiles[settings.profile === "china" ? "china" : "direct"];
  return {
    git: settings.git ?? base.git,
    pypi: settings.pypi ?? base.pypi,
    huggingface: settings.huggingface ?? base.huggingface,
    modelscope: settings.modelscope ?? base.modelscope,
  };
}
