import { rmSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { dify } from "../../../healthchecks/dify/prove.ts";
import type { difyLies } from "../../../rehearsal/dify/lies.ts";
import type { modelLies } from "../../../rehearsal/llm/lies.ts";
import { events } from "../../rehearsal/dify/client.ts";
import { Stage } from "../../rehearsal/dify/replay.ts";
import { type Wired, wire } from "../../rehearsal/dify/wired.ts";
import { drawing, FakeWebui, noise, password, user } from "../fake-webui.ts";
import { inputFor, patient, prove } from "../prove.ts";

/** The proof against the stand-in Dify: it believes the honest one, and none of its lies. */

const stage = new Stage();
const webui = new FakeWebui();
let wired: Wired;
let seed = 1000;

beforeAll(async () => {
  await stage.start();
  await webui.start();
  // The tool asks for a random seed, and the PNG tells which one it was.
  webui.lies["POST /sdapi/v1/txt2img"] = ({ json }) => {
    if (json.seed !== -1) return undefined;
    seed += 1;
    return drawing({ ...json, seed }, noise({ ...json, seed }));
  };
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  wired = await wire(stage, { webui: `http://${login}@127.0.0.1:${webui.port}`, size: 64 });
  // An old picture, for the lie that shows one.
  const asked = { inputs: {}, query: "a blue cat", response_mode: "streaming", user: "before" };
  await events(`${stage.url}/v1/chat-messages`, wired.keys.agent, asked);
});

beforeEach(() => {
  stage.dify.lies.clear();
  stage.model.lies.clear();
});

afterAll(async () => {
  await stage.stop();
  await webui.stop();
  for (const folder of stage.folders) rmSync(folder, { recursive: true, force: true });
});

/** As wire() made it. */
const admin = { email: "admin@example.com", password: "Passw0rd-h2" };
const modes = { agent: "agent-chat", chatflow: "advanced-chat" } as const;
type Name = keyof typeof modes;

/** Settings that want another checkpoint than the apps draw with, and the login that tells why. */
function elsewhere(model: string, { email, password: secret } = admin) {
  const apps = (["agent", "chatflow"] as const).map((name) => ({
    ...{ name, mode: modes[name], apiKey: wired.keys[name], query: "a red fox", appId: wired.ids[name] },
  }));
  const input = inputFor(webui.url, {
    ...{ model, modelSha256: "ab".repeat(32) },
    dify: { url: stage.url, admin: { email, password: secret }, apps, width: 64, height: 64 },
    deadlines: { ...patient, crashed: 2 },
  });
  return prove(input, dify);
}

function proofOf(names: Name[] = ["agent", "chatflow"], chat = patient.picture) {
  const apps = names.map((name) => ({ name, mode: modes[name], apiKey: wired.keys[name], query: "a red fox" }));
  const input = inputFor(webui.url, {
    dify: { url: stage.url, apps, width: 64, height: 64 },
    deadlines: { ...patient, crashed: 2, chat },
  });
  return prove(input, dify);
}

test("the honest stand-in is believed, picture by picture", async () => {
  const { proof, failed } = await proofOf();
  expect(failed).toEqual({});
  expect(proof.dify).toMatchObject({ version: "1.14.2", apps: [{ ok: true }, { ok: true }] });
  expect(proof.images.map(({ kind }) => kind)).toEqual(["dify-agent", "dify-chatflow"]);
});

test("a checkpoint that somebody chose in an app is said, one that nobody chose is refused", async () => {
  const chosen = await elsewhere("dreamshaper.safetensors");
  expect(chosen.failed).toEqual({});
  for (const { detail } of chosen.proof.dify?.apps ?? [])
    expect(detail).toMatch(
      /was told in Dify's console to draw with .*, where the settings have dreamshaper\.safetensors\.$/,
    );
  expect(chosen.lines.join("\n")).not.toContain(admin.password);
  const asked = await elsewhere("v1-5-pruned-emaonly.safetensors");
  expect(Object.keys(asked.failed)).toEqual(["dify-agent", "dify-chatflow"]);
  const refused = await elsewhere("dreamshaper.safetensors", { ...admin, password: "another-2" });
  for (const name of ["dify-agent", "dify-chatflow"])
    expect(refused.failed[name]).toMatch(
      /^The picture was drawn by .*, not by .* did not tell: POST .*\/login at .* answered 401 .*Check dify\.email/,
    );
});

test("links without an address are followed at Dify's own", async () => {
  stage.dify.lies.order("relative_link");
  expect((await proofOf()).failed).toEqual({});
});

/** What the proof says of a lie, by the app that it is told by; an app that is not named is not touched by it. */
type Said = Partial<Record<Name, RegExp>>;
const both = (said: RegExp): Said => ({ agent: said, chatflow: said });
const silent = /answered in words and never called the tool/;

const lies: Record<(typeof difyLies)[number], Said> = {
  plugin_missing: { agent: silent, chatflow: /plugin is not installed in Dify/ },
  credential_missing: { agent: silent, chatflow: /tool has no credential in Dify/ },
  tool_fails: both(/The WebUI answered Dify's tool with an error/),
  no_picture: { agent: silent },
  error_midstream: both(/Dify ended the chat with completion_request_error/),
  stalls: both(/was not done after 4 s/),
  blank_picture: both(/one flat colour \(about 255, 255, 255\)/),
  black_picture: both(/The picture is black/),
  old_picture: both(/drawn for another prompt \("REHEARSAL picture of a blue cat/),
  foreign_picture: both(/The WebUI draws another picture from the same seed/),
  half_picture: both(/gave a broken PNG/),
  expired_link: both(/signed link .* was refused: 403/),
  refused_link: both(/signed link .* was refused: 403/),
  // Followed at Dify's own address.
  relative_link: {},
  no_call: { agent: silent },
  small_bound: both(/more tokens than its credential in Dify allows .*2048/),
  daemon_down: both(/Failed to request plugin daemon/),
  runtime_missing: both(/no available node, plugin runtime not found/),
  // Seen when a plugin is installed, not when it draws.
  install_fails: {},
  no_python: {},
};

const modelSays: Record<(typeof modelLies)[number], Said> = {
  no_tool: { agent: silent },
  slow: both(/was not done after 4 s/),
  garbage: both(/the model's stream had no event in it/),
  empty: { agent: silent },
  bad_arguments: { agent: /Dify ended the chat with invalid_param .*JSON/ },
  broken: both(/endpoint answered with an error of its own \(it said: .*InvokeError.*Ask it directly/),
  busy: both(/takes no more requests for now.*status code 429.*Look at that account/),
};

const casesOf = <Lie extends string>(table: Record<Lie, Said>) =>
  (Object.entries(table) as [Lie, Said][]).flatMap(([lie, said]) =>
    (Object.entries(said) as [Name, RegExp][]).map(([name, words]) => ({ lie, name, words })),
  );

describe("what Dify does in silence is seen", () => {
  test.each(casesOf(lies))("$lie, by the $name", async ({ lie, name, words }) => {
    stage.dify.lies.order(lie);
    const { proof, failed } = await proofOf([name], lie === "stalls" ? 4 : undefined);
    expect(Object.values(failed)).toEqual([expect.stringMatching(words)]);
    expect(proof.ok).toBe(false);
  });
});

describe("what a language model does wrong is seen", () => {
  test.each(casesOf(modelSays))("$lie, by the $name", async ({ lie, name, words }) => {
    stage.model.lies.order(lie);
    const { proof, failed } = await proofOf([name], lie === "slow" ? 4 : undefined);
    expect(Object.values(failed)).toEqual([expect.stringMatching(words)]);
    expect(proof.ok).toBe(false);
  });
});
