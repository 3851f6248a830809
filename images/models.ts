import type { CatalogModel } from "./catalog.ts";

type Sources = CatalogModel["sources"];

/** A file of a Hugging Face repository, there and at its mirror. */
const hub = (repository: string, file: string, ...more: Sources): Sources => {
  const path = `${repository}/resolve/main/${file}`;
  return [{ huggingface: path }, ...more, { url: `https://hf-mirror.com/${path}` }];
};
const modelscope = (repository: string, file: string): Sources[number] => ({
  modelscope: `${repository}/resolve/master/${file}`,
});
const sd15 = (file: string) =>
  hub("stable-diffusion-v1-5/stable-diffusion-v1-5", file, modelscope("AI-ModelScope/stable-diffusion-v1-5", file));
const controlnet = (file: string) =>
  hub("comfyanonymous/ControlNet-v1-1_fp16_safetensors", file, modelscope("licyks/controlnet_v1.1", file));

const several = "bytes and sha256 stand in several public model lists, which agree with each other and with the hub";
const controlnetBytes = "bytes in several public model lists";

/**
 * The catalog's data; its form is said in catalog.ts. No number is a guess: what no public list says of exactly this file is left out.
 * safetensors come first: a ckpt is a pickle, which can run code when it is loaded.
 */
export const models: readonly CatalogModel[] = [
  {
    name: "v1-5-pruned-emaonly",
    kind: "checkpoint",
    file: "v1-5-pruned-emaonly.safetensors",
    bytes: 4_265_146_304,
    sha256: "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
    licence: "CreativeML-OpenRAIL-M",
    evidence: `${several}; the sha256 stands in the WebUI's own code too`,
    sources: sd15("v1-5-pruned-emaonly.safetensors"),
  },
  {
    name: "v1-5-pruned-emaonly-ckpt",
    kind: "checkpoint",
    file: "v1-5-pruned-emaonly.ckpt",
    aboutBytes: 4_270_000_000,
    sha256: "cc6cb27103417325ff94f52b7a5d2dde45a7515b25c255d8e396c90014281516",
    licence: "CreativeML-OpenRAIL-M",
    evidence: "sha256 in several public model lists; the exact length in none of them",
    sources: sd15("v1-5-pruned-emaonly.ckpt"),
  },
  {
    name: "sd-xl-base-1.0",
    kind: "checkpoint",
    base: "sdxl",
    file: "sd_xl_base_1.0.safetensors",
    bytes: 6_938_078_334,
    sha256: "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
    licence: "CreativeML-OpenRAIL++-M",
    evidence: several,
    sources: hub(
      "stabilityai/stable-diffusion-xl-base-1.0",
      "sd_xl_base_1.0.safetensors",
      modelscope("AI-ModelScope/stable-diffusion-xl-base-1.0", "sd_xl_base_1.0.safetensors"),
    ),
  },
  {
    name: "sd-xl-refiner-1.0",
    kind: "checkpoint",
    base: "sdxl",
    file: "sd_xl_refiner_1.0.safetensors",
    bytes: 6_075_981_930,
    sha256: "7440042bbdc8a24813002c09b6b69b64dc90fded4472613437b7f55f9b7d9c5f",
    licence: "CreativeML-OpenRAIL++-M",
    evidence: several,
    sources: hub("stabilityai/stable-diffusion-xl-refiner-1.0", "sd_xl_refiner_1.0.safetensors"),
  },
  {
    name: "counterfeit-v3.0",
    kind: "checkpoint",
    file: "Counterfeit-V3.0_fp16.safetensors",
    aboutBytes: 4_250_000_000,
    sha256: "cbfba64e662370f59d4aa2aa69bf16749fce93846ccce20506aee5df01169859",
    licence: "CreativeML-OpenRAIL-M",
    evidence:
      "anime, SD1.5; the whole sha256 in one public list of a WebUI's models, its first half in another, with this address; the exact length in none",
    sources: hub("gsdf/Counterfeit-V3.0", "Counterfeit-V3.0_fp16.safetensors"),
  },
  {
    name: "animagine-xl-3.1",
    kind: "checkpoint",
    base: "sdxl",
    file: "animagine-xl-3.1.safetensors",
    bytes: 6_938_325_776,
    sha256: "e3c47aedb06418c6c331443cd89f2b3b3b34b7ed2102a3d4c4408a8d35aad6b0",
    licence: "Fair-AI-Public-License-1.0-SD",
    evidence: `anime, SDXL; ${several}`,
    sources: hub("cagliostrolab/animagine-xl-3.1", "animagine-xl-3.1.safetensors"),
  },
  {
    name: "vae-ft-mse-840000",
    kind: "vae",
    file: "vae-ft-mse-840000-ema-pruned.safetensors",
    bytes: 334_641_190,
    sha256: "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
    licence: "MIT",
    evidence: several,
    sources: hub(
      "stabilityai/sd-vae-ft-mse-original",
      "vae-ft-mse-840000-ema-pruned.safetensors",
      modelscope("licyks/sd-vae", "sd_1.5/vae-ft-mse-840000-ema-pruned.safetensors"),
    ),
  },
  {
    name: "controlnet-v1.1-canny",
    kind: "controlnet",
    file: "control_v11p_sd15_canny_fp16.safetensors",
    bytes: 722_601_100,
    sha256: "8932b66e15aae835b3490dbf989f56c253104cee08a88bf21283762f557c9f10",
    licence: "OpenRAIL",
    evidence: `${controlnetBytes}; sha256 in one`,
    sources: controlnet("control_v11p_sd15_canny_fp16.safetensors"),
  },
  {
    name: "controlnet-v1.1-openpose",
    kind: "controlnet",
    file: "control_v11p_sd15_openpose_fp16.safetensors",
    bytes: 722_601_100,
    sha256: "4003c1da17b0e4ba444e02140e1c0d83bb24b79e4dcfd613c3a554d38f0f89c7",
    licence: "OpenRAIL",
    evidence: `${controlnetBytes}; sha256 in two`,
    sources: controlnet("control_v11p_sd15_openpose_fp16.safetensors"),
  },
  {
    name: "controlnet-v1.1-depth",
    kind: "controlnet",
    file: "control_v11f1p_sd15_depth_fp16.safetensors",
    bytes: 722_601_100,
    sha256: "1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be",
    licence: "OpenRAIL",
    evidence: `${controlnetBytes}; sha256 in two`,
    sources: controlnet("control_v11f1p_sd15_depth_fp16.safetensors"),
  },
  {
    name: "lcm-lora-sdv1-5",
    kind: "lora",
    file: "lcm-lora-sdv1-5.safetensors",
    bytes: 134_621_556,
    sha256: "8f90d840e075ff588a58e22c6586e2ae9a6f7922996ee6649a7f01072333afe4",
    licence: "OpenRAIL++",
    evidence: several,
    sources: hub("latent-consistency/lcm-lora-sdv1-5", "pytorch_lora_weights.safetensors"),
  },
  {
    name: "realesrgan-x4plus",
    kind: "upscaler",
    file: "RealESRGAN_x4plus.pth",
    bytes: 67_040_989,
    sha256: "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
    licence: "BSD-3-Clause",
    evidence: "bytes in one public model list, sha256 in several and in a distribution's package",
    sources: [
      { url: "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth" },
      modelscope("AI-ModelScope/Real-ESRGAN", "RealESRGAN_x4.pth"),
    ],
  },
];
