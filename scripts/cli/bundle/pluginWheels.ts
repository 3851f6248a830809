import { strFromU8 } from "fflate";
import { parse } from "yaml";
import type { PluginPackage } from "../../dify/difypkg.ts";

/** A Python package that a plugin wants, by the files of it that are taken. */
export interface WantedWheels {
  name: string;
  version: string;
  sha256: Set<string>;
}

/**
 * What a plugin's own `uv.lock` names, for the Python that it runs on: of each package the wheels that fit. A package that has none which
 * fits (it is another system's) is taken all the same, one file of it: uv asks for the metadata of everything when it resolves anew.
 * @param platform `linux/amd64`
 * @returns undefined where the package has no uv.lock
 */
export function wheelsOfPlugin({ files }: PluginPackage, platform: string): WantedWheels[] | undefined {
  const lock = files["uv.lock"];
  if (!lock) return undefined;
  const python = pythonOf(files["manifest.yaml"]);
  return strFromU8(lock)
    .split(/^\[\[package\]\]$/m)
    .slice(1)
    .flatMap((block) => {
      const [, name = ""] = /^name = "([^"]+)"$/m.exec(block) ?? [];
      const [, version = ""] = /^version = "([^"]+)"$/m.exec(block) ?? [];
      const all = [...block.matchAll(/url = "([^"]+)", hash = "sha256:([0-9a-f]{64})"/g)].map(
        ([, url = "", sha256 = ""]) => ({ file: url.split("/").at(-1) ?? "", sha256 }),
      );
      // The plugin itself has no files.
      if (all.length === 0) return [];
      const wheels = all.filter(({ file }) => file.endsWith(".whl"));
      const fitting = wheels.filter(({ file }) => fits(file, python, platform));
      const taken = fitting.length > 0 ? fitting : (wheels.length > 0 ? wheels : all).slice(0, 1);
      return [{ name, version, sha256: new Set(taken.map(({ sha256 }) => sha256)) }];
    });
}

/** `312`; the plugin daemon's image has 3.12. */
function pythonOf(manifest: Uint8Array | undefined): string {
  const { meta } = (parse(strFromU8(manifest ?? new Uint8Array())) ?? {}) as {
    meta?: { runner?: { version?: unknown } };
  };
  return String(meta?.runner?.version ?? "3.12").replace(".", "");
}

function fits(file: string, python: string, platform: string): boolean {
  const [tags = "", abi = "", system = ""] = file.slice(0, -".whl".length).split("-").slice(-3);
  const machine = platform === "linux/arm64" ? "aarch64" : "x86_64";
  if (system !== "any" && !(system.includes("manylinux") && system.includes(machine))) return false;
  return tags.split(".").some((tag) => tag === "py3" || tag === `cp${python}` || (abi === "abi3" && /^cp3/.test(tag)));
}
