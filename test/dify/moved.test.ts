import type { Server } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { serveDify } from "../../rehearsal/dify/server.ts";
import { difyFacts } from "../../stacks/dify/facts.ts";
import { World } from "./world.ts";

describe("another dify.url", () => {
  const [before, now] = [new World(), new World()];
  let elsewhere: { server: Server; port: number };
  const said = vi.spyOn(console, "log").mockImplementation(() => {});
  const inputs = (world: World, url = world.url) => ({
    dify: world.login({ url }),
    own: false,
    items: world.items,
    stack: "t",
  });
  // biome-ignore lint/suspicious/noExplicitAny: as the state has them
  let outs: any;
  const diff = async (news: object) => {
    const { changes } = (await difyFacts.diff?.("dify-facts", outs, news)) ?? {};
    return { changes, said: said.mock.calls.flat().filter((line) => /dify\.url was/.test(line)) };
  };

  beforeAll(async () => {
    await Promise.all([before.start(), now.start()]);
    await Promise.all([before.applyAll(), now.apply(now.items.setup)]);
    elsewhere = await serveDify(before.dify, { port: 0, model: before.model });
    outs = (await difyFacts.create?.(inputs(before)))?.outs;
  });
  afterEach(() => said.mockClear());
  afterAll(async () => {
    said.mockRestore();
    elsewhere?.server.closeAllConnections();
    elsewhere?.server.close();
    await Promise.all([before.stop(), now.stop()]);
  });

  test("is told with what stays in the one before, and how it is taken out", async () => {
    expect(await diff(inputs(before))).toEqual({ changes: false, said: [] });
    const moved = await diff(inputs(now));
    expect(moved.changes).toBe(true);
    expect(moved.said).toEqual([
      expect.stringMatching(
        `dify.url was ${before.url}.*\`Atelier agent\` and \`Atelier chatflow\`, the credentials \`atelier-t\` .*npx atelier down --stack t --target`,
      ),
    ]);
  });

  test("and not another one: the admin's other workspace is refused, in the plan and at `down`; --force goes on there", async () => {
    const { state } = before.dify;
    const ours = state.tenantId;
    // As a state sorts them, which are compared as text.
    expect(Object.keys(outs.there)).toEqual(["url", "what", "workspace"]);
    const key = { item: "key", appId: "-", keyId: "-", workspace: ours };
    expect((await before.run(key, "remove", { own: false })).code).toBe(0);
    state.tenantId = "6a3f0e5c-0000-4000-8000-000000000000";
    await expect(diff(inputs(before))).rejects.toThrow(
      /^the admin of http\S+ works in the workspace `.*` now, .* in another one\. Nothing was changed\. Switch back/,
    );
    await expect(difyFacts.update?.("dify-facts", outs, inputs(before))).rejects.toThrow(/Nothing was changed/);
    const left = await before.run(key, "remove", { own: false });
    expect([left.code, left.stderr]).toEqual([
      1,
      expect.stringMatching(/workspace `.*` now.*nothing was taken out.*--dify-gone/),
    ]);
    // Each item by itself: of an update that failed half-way there is no key, and in the middle of one it is switched, too.
    const model = { ...before.items.model, workspace: ours };
    for (const what of ["apply", "remove"] as const)
      expect(await before.run(model, what, { own: false })).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/workspace `.*` now.*nothing was (made here|taken out).*--(force|dify-gone)/),
      });
    vi.stubEnv("ATELIER_FORCE", "1");
    said.mockClear();
    expect(await diff(inputs(before))).toEqual({ changes: true, said: [] });
    expect(said.mock.calls.flat()).toContainEqual(
      expect.stringMatching(
        /setup is not in place: the admin .* another one, and stays there: the apps `Atelier agent`/,
      ),
    );
    const { tokens, there } = (await difyFacts.update?.("dify-facts", outs, inputs(before)))?.outs ?? {};
    vi.unstubAllEnvs();
    expect([there.workspace, tokens.setup]).toEqual([state.tenantId, expect.stringMatching(/./)]);
    state.tenantId = ours;
  });

  test("that leads to the same Dify is none", async () => {
    expect(await diff(inputs(before, `http://127.0.0.1:${elsewhere.port}`))).toEqual({ changes: true, said: [] });
  });
});
