/** A build of torch, as PyPI has it: the WebUI's packages are locked for each. */
export interface TorchBuild {
  /** Version of torch, without the build's suffix. */
  version: string;
  cuda: string;
  /** First number of the oldest NVIDIA driver that runs this CUDA's own code. */
  minDriver: number;
  /** Oldest and newest compute capability that it has code for, as in sm_90. */
  minSm: number;
  maxSm: number;
  /** Cards in people's words, oldest to newest. */
  cards: string;
  /** Wheel locks of images/wheels: the WebUI's packages, and xformers for them. */
  wheels: string;
  xformers: string;
}

/**
 * The WebUI's release was made for torch 2.1.2. NVIDIA's Blackwell (RTX 50xx, B200) has no code in it: 2.8.0 is the first on PyPI that has.
 * Capabilities: `torch._C._cuda_getArchFlags()` of the wheels. Drivers: the release notes of CUDA.
 */
export const torchBuilds = {
  cu121: {
    version: "2.1.2",
    cuda: "12.1",
    minDriver: 530,
    minSm: 50,
    maxSm: 90,
    cards: "GTX 9xx to RTX 40xx, L40, H100",
    wheels: "a1111-cu121",
    xformers: "xformers-cu121",
  },
  cu128: {
    version: "2.8.0",
    cuda: "12.8",
    minDriver: 570,
    minSm: 70,
    maxSm: 120,
    cards: "V100 to RTX 50xx, B200",
    wheels: "a1111-cu128",
    xformers: "xformers-cu128",
  },
} as const satisfies Record<string, TorchBuild>;

export type TorchName = keyof typeof torchBuilds;

/** The release's own first. */
export const torchNames = Object.keys(torchBuilds) as TorchName[];
