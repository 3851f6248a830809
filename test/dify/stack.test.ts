import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePackage } from "../../rehearsal/dify/packages.ts";
import { Clone, nowhere } from "../cli/clone.ts";
import { secrets, World } from "./world.ts";

// Whole runs of the command line, each with several processes.
const official = (() => {
  try {
    execFileSync("pulumi", ["version"], { stdio: "pipe" });
    execFileSync("pulumi-resource-command", ["--help"], { stdio: "pipe" });
    return "";
  } catch (error) {
    return (error as { code?: string }).code === "ENOENT"
      ? " (skipped: no pulumi with its command plugin on PATH)"
      : "";
  }
})();

const model = "langgenius/openai_api_compatible";

/** The wiring alone: the tool's plugin out of a package, the model's from a marketplace, whose checksum of it nobody knows. */
const program = (world: World, steps: number) => `
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { wireDify } from "./dify/wiring.ts";
import { difySchema } from "./schema/dify.ts";
import { atelierHome } from "./settings.ts";
const model = { provider: "openai_api_compatible", name: "stub-model", baseUrl: ${JSON.stringify(`${world.url}/llm/v1`)} };
const webui = new command.local.Command("webui-draws", { create: "true" });
const wired = wireDify({
  place: {
    url: ${JSON.stringify(world.url)}, email: "admin@example.com", own: true, ready: [], reached: [],
    password: pulumi.secret(${JSON.stringify(secrets.password)}), initPassword: pulumi.secret(${JSON.stringify(secrets.initPassword)}),
    webuiUrl: "http://127.0.0.1:${world.webuiPort}",
  },
  settings: difySchema.parse({ model, timeout: 400 }), modelKey: pulumi.secret(${JSON.stringify(secrets.modelKey)}),
  webui: { user: "webui", password: pulumi.secret(${JSON.stringify(secrets.webuiPassword)}), ready: webui },
  checkpoint: "v1-5-pruned-emaonly", drawing: { model: "v1-5-pruned-emaonly", width: 512, height: 512, steps: ${steps} },
  plugins: {
    tool: { id: "langgenius/stablediffusion", version: "0.0.7", package: ${JSON.stringify(world.package("stablediffusion").path)} },
    model: {
      id: "langgenius/openai_api_compatible", version: "0.0.63", marketplace: ${JSON.stringify(world.marketplace.url)},
      computed: "langgenius/openai_api_compatible:0.0.63@${"0".repeat(64)}",
    },
  },
  home: atelierHome(), state: "0123456789abcdef",
}, {});
export const agentKey = wired.apps.agent.apiKey;
export const version = wired.version;
`;

describe.each([["embedded"], ["pulumi"]])("the items as resources, engine %s", (engine) => {
  const skipped = engine === "pulumi" ? official : "";
  let world: World;
  let clone: Clone;
  let printed = "";
  beforeAll(async () => {
    if (skipped) return;
    world = await new World().start();
    world.marketplace.packages.set(model, makePackage("openai_api_compatible"));
    clone = new Clone();
    clone.settings("dify", { host: nowhere });
  });
  afterAll(async () => {
    clone?.remove();
    await world?.stop();
  });
  const run = async (...args: string[]) => {
    const ran = await clone.run([...args, "--stack", "dify", "--yes", "--engine", engine]);
    printed += `${ran.stdout}${ran.stderr}`;
    return `${ran.stdout}${ran.stderr}`;
  };
  // biome-ignore lint/suspicious/noExplicitAny: the stand-in's state is looked at as it is
  const agent = (): any => world.dify.state.apps.find(({ name }) => name === "Atelier agent");

  test.skipIf(skipped)(`are made, and then there are no changes${skipped}`, async () => {
    clone.program(program(world, 20));
    const first = await run("up");
    expect(first).toContain("+ dify-chatflow created");
    const { package: came } = world.dify.state.plugins.find(({ package: id }) => id.startsWith(model)) ?? {};
    const recorded = JSON.parse(readFileSync(join(clone.home, "recorded.json"), "utf8"));
    expect(recorded.plugins).toEqual({ [model]: { version: "0.0.63", identifier: came, at: expect.any(String) } });
    expect(await run("preview")).toContain("Plan: no changes, 11 resources.");
  });

  test.skipIf(skipped)(
    `what was taken out comes back, an edit is shown and stays, --force ends it${skipped}`,
    async () => {
      const user = await world.user();
      const { model_config } = await user.console("GET", `/apps/${agent().id}`);
      await user.console("POST", `/apps/${agent().id}/model-config`, {
        ...model_config,
        pre_prompt: "Draw cats only.",
      });
      const flow = world.dify.state.apps.find(({ name }) => name === "Atelier chatflow");
      await user.console("DELETE", `/apps/${flow?.id}`);
      const mended = await run("up", "--verbose");
      expect(mended).toContain(
        "dify-agent was edited in Dify's console, and is left as it is (--force overwrites): pre_prompt",
      );
      expect(mended).toContain("dify-chatflow is not in place: there is no app `Atelier chatflow`");
      expect(mended).toContain("~ dify-chatflow updated");
      expect(agent().modelConfig.pre_prompt).toBe("Draw cats only.");
      clone.program(program(world, 30));
      const refused = await run("up");
      expect(refused).toMatch(/pre_prompt[\s\S]*Nothing was overwritten/);
      expect(refused).toContain("~ dify-chatflow updated");
      expect(agent().modelConfig.pre_prompt).toBe("Draw cats only.");
      expect(await run("up", "--force")).toContain("~ dify-agent updated");
      expect(agent().modelConfig.pre_prompt).toMatch(/^You draw pictures/);
      expect(await run("preview")).toContain("Plan: no changes, 11 resources.");
    },
  );

  test.skipIf(skipped)(
    `another description is shown as edited and stays, and the next plan has no changes${skipped}`,
    async () => {
      const user = await world.user();
      const { name, icon_type, icon, icon_background } = await user.console("GET", `/apps/${agent().id}`);
      const description = "Draws for the marketing team.";
      const face = { name, description, icon_type, icon, icon_background, use_icon_as_answer_icon: false };
      await user.console("PUT", `/apps/${agent().id}`, face);
      expect(await run("up", "--verbose")).toContain("was edited in Dify's console (description): left as it is");
      expect(agent().description).toMatch(/^Draws for the marketing team\. \[atelier /);
      const after = await run("preview", "--verbose");
      expect(after).toContain("is left as it is (--force overwrites): description");
      expect(after).toContain("Plan: no changes, 11 resources.");
    },
  );

  test.skipIf(skipped)(`show no secret and keep none in clear${skipped}`, async () => {
    const state = readFileSync(join(clone.home, "state/.pulumi/stacks/atelier/dify.json"), "utf8");
    const { resources } = JSON.parse(state).checkpoint.latest as {
      resources: { urn: string; dependencies?: string[] }[];
    };
    const needs = (name: string) =>
      resources.find(({ urn }) => urn.endsWith(`::${name}`))?.dependencies?.map((urn) => urn.split("::").at(-1));
    // Plugins and the model are made ready while the WebUI is installed; nothing is wired to a WebUI that does not draw.
    for (const early of ["dify-facts", "dify-setup", "dify-plugin-tool", "dify-plugin-model", "dify-model"])
      expect(needs(early) ?? []).not.toContain("webui-draws");
    expect(needs("dify-tool")).toContain("webui-draws");
    for (const app of ["dify-agent", "dify-chatflow"]) expect(needs(app)).toContain("dify-tool");
    // Neither app waits for the other; at `down` both wait for a key, which logs in first: a wrong password is not tried by two at once.
    expect(needs("dify-chatflow")).not.toContain("dify-agent");
    expect(needs("dify-agent-key")).toEqual(expect.arrayContaining(["dify-agent", "dify-chatflow"]));
    const keys = JSON.stringify(world.dify.state).match(/app-\w{24}/g) ?? [];
    expect(keys.length).toBeGreaterThan(1);
    for (const secret of [...Object.values(secrets), encodeURIComponent(secrets.webuiPassword), ...keys]) {
      expect(printed).not.toContain(secret);
      expect(state).not.toContain(secret);
    }
  });
});
