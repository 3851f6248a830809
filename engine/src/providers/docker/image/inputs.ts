import { isMap, type PropertyMap, type PropertyValue } from "../../../values.ts";
import { object, text, textMap, texts } from "../plain.ts";

export interface Build {
  /** As the program wrote them, relative to its folder. */
  context: string;
  dockerfile: string;
  args: Record<string, string>;
  target: string;
  platform: string;
  network: string;
  addHosts: string[];
  cacheFrom: string[];
  /** "2": BuildKit. */
  version: "1" | "2";
}

export interface ImageInputs {
  imageName: string;
  build: Build;
  registry: { server: string; username: string; password: string };
  skipPush: boolean;
}

/** Checked inputs, as the build needs them. */
export function readInputs(inputs: PropertyMap): ImageInputs {
  const build = object(inputs, "build") ?? {};
  const registry = object(inputs, "registry") ?? {};
  return {
    imageName: text(inputs, "imageName"),
    build: {
      context: text(build, "context") || ".",
      dockerfile: text(build, "dockerfile"),
      args: textMap(build, "args") ?? {},
      target: text(build, "target"),
      platform: text(build, "platform"),
      network: text(build, "network"),
      addHosts: texts(build, "addHosts") ?? [],
      cacheFrom: cacheImages(build.cacheFrom ?? null),
      version: text(build, "builderVersion") === "BuilderV1" ? "1" : "2",
    },
    registry: {
      server: text(registry, "server"),
      username: text(registry, "username"),
      password: text(registry, "password"),
    },
    skipPush: inputs.skipPush === true,
  };
}

export function cacheImages(value: PropertyValue): string[] {
  const images = isMap(value) ? value.images : undefined;
  return Array.isArray(images) ? images.filter((image) => typeof image === "string") : [];
}
