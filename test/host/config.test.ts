import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
const inputs = (more: Inputs = {}): Inputs => ({
  listen: "127.0.0.1",
  port: 8080,
  options: '{"sd_model_checkpoint": "a.safetensors"}',
  flags: ["--no-half"],
  user: "atelier",
  password_secret: "p",
  ...more,
});
const apply = (more?: Inputs) => workspace.run("70-config.sh", "apply", inputs(more));
const flags = () => workspace.file("run", "flags").trim().split("\n");
const json = (file: string) => JSON.parse(workspace.file("data", file));

beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => workspace.destroy());

describe("memory", () => {
  const withCard = (mb: number) => {
    mkdirSync(join(workspace.path, "run"), { recursive: true });
    writeFileSync(join(workspace.path, "run", "vram"), `${mb}\n`);
  };

  it("refuses a word that is none", async () => {
    const { code, stderr } = await apply({ vram: "some" });
    expect([code, stderr]).toEqual([2, expect.stringContaining("vram=some: one of auto, full, medvram, lowvram")]);
  });

  // Names of cards and what nvidia-smi tells of them.
  it.each([
    ["T1000, 4 GB", 4096, "no", "medvram"],
    ["T1000, 4 GB", 4096, "yes", "lowvram"],
    ["RTX 2060, 6 GB", 6144, "no", "full"],
    ["RTX 2080 Ti, 11 GB", 11_264, "yes", "medvram-sdxl"],
    ["RTX 3060, 12 GB", 12_288, "yes", "full"],
  ])("auto on a %s (%i MB), SDXL %s: %s", async (_card, mb, sdxl, wanted) => {
    withCard(mb);
    expect((await apply({ vram: "auto", sdxl })).facts).toMatchObject({ vram: wanted });
    expect(flags().filter((flag) => flag.includes("vram"))).toEqual(wanted === "full" ? [] : [`--${wanted}`]);
  });

  it("says so when the card is another one than it was", async () => {
    withCard(24_564);
    await apply({ vram: "auto" });
    withCard(4096);
    const { code, stderr } = await workspace.run("70-config.sh", "check", inputs({ vram: "auto" }));
    expect([code, stderr]).toEqual([10, expect.stringContaining("run/flags is not what was written")]);
  });

  it("takes the setting's word over the card's, and none where there is no card", async () => {
    withCard(24_564);
    expect((await apply({ vram: "lowvram" })).facts).toMatchObject({ vram: "lowvram" });
    withCard(4096);
    expect((await apply({ vram: "full" })).facts).toMatchObject({ vram: "full" });
    writeFileSync(join(workspace.path, "run", "vram"), "");
    expect((await apply({ vram: "auto" })).facts).toMatchObject({ vram: "full" });
  });
});

describe("the WebUI's own files", () => {
  const steps = "customscript/sampler.py/txt2img/Sampling steps/value";

  it("moves aside one that is no JSON, and says so", async () => {
    mkdirSync(join(workspace.path, "data"), { recursive: true });
    writeFileSync(join(workspace.path, "data", "ui-config.json"), "{");
    const { code, stderr } = await apply({ ui: JSON.stringify({ [steps]: 12 }) });
    expect([code, stderr]).toEqual([0, expect.stringMatching(/ui-config\.json could not be read .*moved to/)]);
    expect(json("ui-config.json")).toEqual({ [steps]: 12 });
  });

  it("ours win, the user's stay, and what is set no more goes back to the WebUI's default", async () => {
    mkdirSync(join(workspace.path, "data"), { recursive: true });
    writeFileSync(join(workspace.path, "data", "ui-config.json"), JSON.stringify({ [steps]: 20, theirs: 1 }));
    writeFileSync(join(workspace.path, "data", "config.json"), JSON.stringify({ samples_format: "webp" }));
    const options = {
      sd_model_checkpoint: "a.safetensors",
      CLIP_stop_at_last_layers: 2,
      disabled_extensions: ["LDSR"],
    };
    await apply({ ui: JSON.stringify({ [steps]: 12 }), options: JSON.stringify(options) });
    expect(json("ui-config.json")).toEqual({ [steps]: 12, theirs: 1 });
    expect(json("config.json")).toEqual({ samples_format: "webp", ...options });
    // Chosen in the UI meanwhile: the user's from now on.
    writeFileSync(
      join(workspace.path, "data", "config.json"),
      JSON.stringify({ ...options, CLIP_stop_at_last_layers: 3 }),
    );
    await apply({ ui: "{}" });
    expect(json("ui-config.json")).toEqual({ theirs: 1 });
    expect(json("config.json")).toEqual({ sd_model_checkpoint: "a.safetensors", CLIP_stop_at_last_layers: 3 });
  });

  it("writes no ui-config.json where nothing is set", async () => {
    await apply();
    expect(() => json("ui-config.json")).toThrow(/ENOENT/);
  });
});
