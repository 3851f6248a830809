import type { Contents } from "./contents.ts";
import type { Manifest } from "./manifest.ts";

/** What a stack is made of and a bundle has not, as one that was made for another stack, in words. */
export function lacksOf(bundle: Manifest, { git, wheels, models, tokenizer, dify }: Contents): string[] {
  const commits = new Set(bundle.git.map(({ commit }) => commit));
  const packages = new Set(bundle.wheels.map(({ sha256 }) => sha256));
  const hasModel = ({ name, file, sha256 }: Contents["models"][number]) =>
    bundle.models.some((one) =>
      sha256 === undefined ? one.name === name && one.file === file : one.sha256 === sha256,
    );
  const hasPlugin = ({ id, version }: Contents["dify"]["plugins"][number]) =>
    bundle.plugins.some((one) => one.id === id && one.version === version);
  return [
    ...git.filter(({ commit }) => !commits.has(commit)).map(({ name }) => `repository ${name}`),
    ...models.filter((model) => !hasModel(model)).map(({ name }) => `model ${name}`),
    ...(bundle.tokenizer.revision === tokenizer.revision ? [] : ["the tokenizer"]),
    ...[...wheels.values()]
      .filter(({ sha256 }) => ![...sha256].some((hash) => packages.has(hash)))
      .map(({ name, version }) => `package ${name} ${version}`),
    ...dify.images
      .filter(({ image }) => !bundle.images.some((one) => one.image === image))
      .map(({ image }) => `image ${image}`),
    ...dify.plugins.filter((plugin) => !hasPlugin(plugin)).map(({ id, version }) => `plugin ${id} ${version}`),
  ];
}
