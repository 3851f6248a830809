import { describe, expect, it } from "vitest";
import { upstreamsSchema } from "../../stacks/schema/upstreams.ts";
import { chooseUpstreams, modelUrls, probes, profiles, readOverride } from "../../stacks/upstreams.ts";

const settings = (given: object) => upstreamsSchema.parse(given);

describe("upstreams", () => {
  it("of auto are those of direct and of china, each once; only auto goes by what was measured", () => {
    for (const kind of ["git", "pypi", "huggingface", "apt", "uvPython"] as const) {
      const auto = profiles.auto[kind];
      expect(new Set(auto)).toEqual(new Set([...profiles.direct[kind], ...profiles.china[kind]]));
      expect(new Set(auto).size).toBe(auto.length);
    }
    expect(Object.values(profiles).map(({ order }) => order)).toEqual(["given", "given", "given", "auto"]);
  });

  it("are replaced list by list", () => {
    const chosen = chooseUpstreams(
      settings({ profile: "china", git: ["https://mirror.test/x"], apt: "https://apt.test" }),
      undefined,
    );
    expect(chosen.git).toEqual(["https://mirror.test/x/"]);
    expect(chosen.apt).toEqual(["https://apt.test"]);
    expect(chosen.pypi).toEqual(profiles.china.pypi);
  });

  it("of a bundle are all on its server, also where the settings have lists of their own", () => {
    const override = readOverride("bundle:http://127.0.0.1:4711", "t");
    const chosen = chooseUpstreams(settings({ git: ["https://mirror.test/x"] }), undefined, override);
    const { order, ...kinds } = chosen;
    const urls = Object.values(kinds).flat();
    expect(urls.filter((url) => !url.startsWith("http://127.0.0.1:4711/"))).toEqual(["offline"]);
    expect(order).toBe("given");
  });

  it("by another name are refused, with those that there are", () => {
    expect(() => readOverride("bundle:/some/folder", "t")).toThrow(
      /accepted: direct, china, offline, auto, bundle:<base URL>/,
    );
    expect(readOverride(undefined, "t")).toBeUndefined();
    expect(readOverride("china", "t")).toEqual({ profile: "china" });
  });

  it("offline ask nobody: there is nothing to probe, and no address of a model", () => {
    expect(probes(profiles.offline, { repository: "o/r.git", huggingface: "o/r/resolve/main/f" })).toEqual([]);
    expect(modelUrls({ sources: [{ huggingface: "o/r/resolve/main/f" }] }, profiles.offline)).toEqual([]);
  });

  it("are probed below their own base", () => {
    for (const line of probes(profiles.auto, {
      repository: "o/r.git",
      huggingface: "a/b/resolve/main/f",
      modelscope: "c/d",
    })) {
      const [kind, base, address] = line.split("\t");
      expect(profiles.auto).toHaveProperty(kind ?? "");
      expect(address?.startsWith(base?.replace(/\/$/, "") ?? "?")).toBe(true);
    }
  });
});
