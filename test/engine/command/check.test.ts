import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Archive, Asset, type PropertyMap, Secret, Unknown } from "../../../engine/src/values.ts";
import { type Harness, startHarness } from "./harness.ts";

describe("check", () => {
  let harness: Harness;
  beforeEach(async () => {
    harness = await startHarness(".");
  });
  afterEach(() => harness.provider.close());

  it("names every mistake, and not the value", async () => {
    const { failures } = await harness.check("command:remote:Command", {
      connection: new Secret({ port: "22", password: 7, hots: "h" }),
      create: ["ls"],
      environment: { A: 1, B: "b" },
      crate: "ls",
    });
    expect(failures.map((failure) => failure.property).sort()).toEqual([
      "connection.host",
      "connection.hots",
      "connection.password",
      "connection.port",
      "crate",
      "create",
      "environment.A",
    ]);
    expect(failures.find((failure) => failure.property === "create")?.reason).toBe("expected a string, got a list");
  });

  it("wants a connection", async () => {
    const { failures } = await harness.check("command:remote:Command", { create: "ls" });
    expect(failures).toEqual([{ property: "connection", reason: "missing, but required" }]);
  });

  it("fills in a connection's defaults, its proxy's too, and marks what is secret", async () => {
    const { inputs } = await harness.check("command:remote:Command", {
      connection: { host: "h", password: "p", proxy: { host: "j", privateKey: "k" } },
    });
    const defaults = { user: "root", port: 22, dialErrorLimit: 10, perDialTimeout: 15 };
    const proxy = { ...defaults, host: "j", privateKey: new Secret("k") };
    expect(inputs).toEqual({ connection: new Secret({ ...defaults, host: "h", password: new Secret("p"), proxy }) });
  });

  it("keeps what is given: a zero, a secret, an unknown", async () => {
    const news: PropertyMap = {
      connection: new Secret({ host: "h", user: "u", port: 2222, dialErrorLimit: 0, perDialTimeout: 0 }),
      create: Unknown.value,
      stdin: new Secret("s"),
      environment: { A: new Secret("a") },
      triggers: [1, null, Unknown.value],
    };
    expect(await harness.check("command:remote:Command", news)).toEqual({ inputs: news, failures: [] });
    const unknown = await harness.check("command:remote:Command", { connection: Unknown.value });
    expect(unknown).toEqual({ inputs: { connection: new Secret(Unknown.value) }, failures: [] });
  });

  it("takes a path or a text to copy, and nothing else", async () => {
    const copy = async (source: Asset | Archive | string) => {
      const news = { connection: { host: "h" }, remotePath: "/r", source };
      return (await harness.check("command:remote:CopyToRemote", news)).failures.map((failure) => failure.property);
    };
    expect(await copy(new Asset({ path: "f" }))).toEqual([]);
    expect(await copy(new Asset({ text: "t" }))).toEqual([]);
    expect(await copy(new Archive({ path: "d" }))).toEqual([]);
    expect(await copy(new Asset({ uri: "https://h" }))).toEqual([]);
    expect(await copy(new Archive({ assets: {} }))).toEqual([]);
    expect(await copy("f")).toEqual(["source"]);
  });

  it("refuses a type that it does not have, with the way out", async () => {
    await expect(harness.check("command:remote:CopyFile", {})).rejects.toThrow("--engine pulumi");
  });
});
