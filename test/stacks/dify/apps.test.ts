import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { modelsOf, readDsl, toolsOf } from "../../../scripts/dify/app/dsl.ts";
import { assemble } from "../../../stacks/assembly.ts";
import { appDsl, appModes, appPicture, appRoles, modelName, toolModel } from "../../../stacks/dify/apps.ts";
import { parseSettings } from "../../../stacks/schema.ts";

const tool = "langgenius/stablediffusion/stablediffusion";
const drawing = { model: "sd_xl_base_1.0", width: 1024, height: 1024, steps: 30 };
const model = {
  provider: "langgenius/zhipuai/zhipuai",
  name: "glm-4.5",
  maxTokens: 8192,
  thinking: { thinking: false },
};

describe.each(appRoles)("the %s's file", (role) => {
  const file = () => readFileSync(join(import.meta.dirname, "../../../stacks/dify/apps", `${role}.yml`), "utf8");

  test("is an app by itself: version in quotes, no plugin's checksum, no credential, SD1.5's size", () => {
    const dsl = readDsl(file(), appModes[role]);
    expect(dsl).toMatchObject({ kind: "app", version: "0.6.0", dependencies: [] });
    expect(file()).not.toMatch(/credential_id|plugin_unique_identifier|@[0-9a-f]{16}/);
    expect(toolsOf(dsl, tool)).toHaveLength(1);
    expect(modelsOf(dsl).map(({ completion_params }) => completion_params.max_tokens)).toEqual([4096]);
    // Dify reads YAML 1.1, in which `on` and 1:30 are no text; only its `y` is one.
    expect(parse(file().replaceAll(/\by: /g, '"y": '), { version: "1.1" })).toEqual(parse(file()));
  });

  test("is filled in with name, model, checkpoint, size and steps, and with nothing else", () => {
    const dsl = readDsl(appDsl(role, "Mine", drawing, model), appModes[role]);
    expect(dsl.app.name).toBe("Mine");
    expect(modelsOf(dsl)).toEqual([
      expect.objectContaining({
        provider: model.provider,
        name: "glm-4.5",
        completion_params: expect.objectContaining({ max_tokens: 8192, thinking: false }),
      }),
    ]);
    const call = toolsOf(dsl, tool)[0] as unknown as Record<string, Record<string, unknown>>;
    const said = (role === "agent" ? call.tool_parameters : call.tool_configurations) ?? {};
    const value = (field: string) => (role === "agent" ? said[field] : (said[field] as { value: unknown }).value);
    expect(["model", "width", "height", "steps"].map(value)).toEqual(["sd_xl_base_1.0", 1024, 1024, 30]);
    expect(value("negative_prompt")).toMatch(/^lowres/);
  });
});

test("the chatflow gives the tool no thoughts, and asks its question once", () => {
  const { workflow } = readDsl(appDsl("chatflow", "Mine", drawing, model), "advanced-chat");
  const llm = workflow?.graph.nodes.find(({ id }) => id === "llm")?.data as Record<string, unknown>;
  expect(llm.reasoning_format).toBe("separated");
  expect((llm.prompt_template as { role: string }[]).map(({ role }) => role)).toEqual(["system"]);
});

describe("a checkpoint's name", () => {
  test.each([
    ["v1-5-pruned-emaonly.safetensors", "v1-5-pruned-emaonly"],
    ["sd_xl_base_1.0.safetensors", "sd_xl_base_1.0"],
    ["anime/other.ckpt", "anime_other"],
  ])("%s is listed as %s", (file, name) => expect(modelName(file)).toBe(name));

  test("of two with one name the tool names the file", () => {
    const both = ["v1-5.safetensors", "v1-5.ckpt", "other.safetensors"];
    expect(toolModel("v1-5.safetensors", both)).toBe("v1-5.safetensors");
    expect(toolModel("other.safetensors", both)).toBe("other");
  });
});

test.each([
  [{}, {}, { width: 512, height: 512, steps: 20 }],
  [{ models: ["sd-xl-base-1.0"] }, {}, { width: 1024, height: 1024, steps: 20 }],
  // A CPU takes minutes for more, and the tool has 120 s.
  [{}, { gpu: "none" }, { width: 256, height: 256, steps: 4 }],
  [{ webui: { width: 384, height: 640, steps: 12 } }, { gpu: "none" }, { width: 384, height: 640, steps: 12 }],
])("what the settings say of pictures, the apps draw: %o, %o", (said, host, drawn) => {
  const settings = parseSettings({ host: { kind: "local", ...host }, ...said }, "t");
  expect(appPicture(settings, assemble("t", settings, undefined))).toEqual(drawn);
});
