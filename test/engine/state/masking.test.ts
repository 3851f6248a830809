import { describe, expect, it } from "vitest";
import { maskForEvent, SecretFilter } from "../../../engine/src/masking.ts";
import { Asset, ResourceReference, Secret, Unknown } from "../../../engine/src/values.ts";
import { fc } from "../../helpers/random.ts";
import { decodeGolden } from "./golden.ts";

describe("properties for events", () => {
  it("hold the word for each secret and each unknown, and the rest as it is", () => {
    expect(
      maskForEvent({
        plain: [1, null, "x"],
        secret: new Secret({ deep: "hidden" }),
        inside: { list: [new Secret("hidden"), Unknown.value] },
        asset: new Asset({ path: "a" }, "h"),
        resource: new ResourceReference("urn", "id"),
      }),
    ).toEqual({
      plain: [1, null, "x"],
      secret: "[secret]",
      inside: { list: ["[secret]", "[unknown]"] },
      asset: { "4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", hash: "h", path: "a" },
      resource: "id",
    });
  });

  it("of a real state hold none of its passwords and keys", async () => {
    const { snapshot } = await decodeGolden("01-up");
    const shown = JSON.stringify(
      snapshot.resources.map((state) => [maskForEvent(state.inputs), maskForEvent(state.outputs)]),
    );
    expect(shown).toContain("echo local $WHO");
    expect(shown).not.toMatch(/PRIVATE KEY|p@ss/);
  });
});

describe("the filter of secrets", () => {
  it("knows a secret as it is, as JSON, as JSON in JSON, as Go writes it and in a URL", () => {
    const filter = new SecretFilter();
    filter.addText('p"<ö s\\w');
    const json = JSON.stringify('p"<ö s\\w');
    for (const text of [
      'p"<ö s\\w',
      json,
      JSON.stringify(json),
      json.replace("<", "\\u003c"),
      "p%22%3C%C3%B6%20s%5Cw",
    ]) {
      const shown = filter.apply(`before ${text} after`);
      expect(shown).toMatch(/^before .*\[secret\].* after$/);
      expect(shown).not.toContain("ö s");
    }
  });

  it("knows each line of a key, and leaves what is too short", () => {
    const filter = new SecretFilter();
    filter.addSecrets({ key: new Secret("-----BEGIN X-----\nAbCd1234\nzz\n-----END X-----\n"), plain: "visible" });
    expect(filter.apply("error at AbCd1234 zz visible")).toBe("error at [secret] zz visible");
    expect(filter.apply("-----BEGIN X-----\r\nAbCd1234")).toBe("[secret]\r\n[secret]");
  });

  it("leaves words alone that are lines of a long program", () => {
    const filter = new SecretFilter();
    filter.addText(
      ["pass", "start", "token=Zx81-qQ", ...Array.from({ length: 30 }, (_, at) => `line ${at}`)].join("\n"),
    );
    expect(filter.apply("password authentication failed: starting with token=Zx81-qQ")).toBe(
      "password authentication failed: starting with [secret]",
    );
  });

  it("replaces the longer of two secrets that share a beginning", () => {
    const filter = new SecretFilter();
    filter.addText("pass");
    filter.addText("password-2");
    expect(filter.apply("password-2 pass")).toBe("[secret] [secret]");
  });

  it("leaves the address in a secret connection readable, and its password not", () => {
    const filter = new SecretFilter();
    filter.addSecrets({
      connection: new Secret({
        host: "10.0.0.7",
        port: 2222,
        user: "root",
        password: "swordfish",
        x: { host: new Secret("hidden-host") },
      }),
    });
    expect(filter.apply("root@10.0.0.7:2222 refused swordfish of hidden-host")).toBe(
      "root@10.0.0.7:2222 refused [secret] of [secret]",
    );
  });

  it("knows a number that is a secret itself, and leaves those inside a secret object", () => {
    const filter = new SecretFilter();
    filter.addSecrets({ pin: new Secret(471100), settings: new Secret({ port: 8080, pin: new Secret(9911) }) });
    expect(filter.apply("8080 471100 9911")).toBe("8080 [secret] [secret]");
  });

  it("knows a token and a key's lines inside a longer secret, and leaves names and checksums", () => {
    const filter = new SecretFilter();
    const sum = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa";
    const line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";
    const names = "v1-5-pruned-emaonly /root/autodl-tmp/atelier-cache stable-diffusion-webui atelier-gpu-8ec8b85a";
    filter.addText(`curl -H "Bearer a1B2c3D4e5F6g7H8i9" ${names} ${sum} g1B2c3D4e5-8ec8b85a\n${line}\nend`);
    expect(filter.apply(`Bearer a1B2c3D4e5F6g7H8i9, ${names}, ${sum}`)).toBe(`Bearer [secret], ${names}, ${sum}`);
    expect(filter.apply("g1B2c3D4e5-8ec8b85a")).toBe("[secret]");
    expect([`x${line}x`, "a1B2c3D4e5F6g7H8i9", names, sum].map((text) => filter.repeats(text))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("takes an id inside a longer secret for no secret of whoever else has it, and shows it to nobody", () => {
    const filter = new SecretFilter();
    const id = "67361bb9-b930-4493-ba78-ed6a708ef9c1";
    filter.addText(`token=${id}\npassword=${"a1B2c3D4e5F6g7H8i9"}`);
    expect(filter.repeats(id)).toBe(false);
    expect(filter.apply(`again: ${id}`)).toBe("again: [secret]");
    filter.addText(id);
    expect(filter.repeats(id)).toBe(true);
  });

  it("finds in a long text that held none before what has become a secret since", () => {
    const filter = new SecretFilter();
    filter.addText("first-secret");
    const text = `${"plain words ".repeat(200)}second-secret`;
    for (let time = 1; time <= 2; time++) expect(filter.apply(text)).toBe(text);
    filter.addText("second-secret");
    for (let time = 1; time <= 2; time++) expect(filter.apply(text)).toMatch(/ \[secret\]$/);
  });

  it("goes into objects, keys included", () => {
    const filter = new SecretFilter();
    filter.addText("swordfish");
    expect(filter.applyDeep({ a: ["x swordfish"], swordfish: 1, n: null })).toEqual({
      a: ["x [secret]"],
      "[secret]": 1,
      n: null,
    });
  });

  it("leaves no secret in any text around it", () => {
    const secret = fc
      .string({ minLength: 3, maxLength: 30 })
      .filter((s) => s.trim().length >= 3 && !"[secret]".includes(s.trim()));
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (hidden, before, after) => {
        const filter = new SecretFilter();
        filter.addText(hidden);
        expect(filter.apply(`${before}\n${hidden}\n${after}`).split("\n")).not.toContain(hidden);
        expect(filter.apply(`|${hidden}|`)).toContain("[secret]");
      }),
    );
  });
});
