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

  test("that leads to the same Dify is none", async () => {
    expect(await diff(inputs(before, `http://127.0.0.1:${elsewhere.port}`))).toEqual({ changes: true, said: [] });
  });
});
