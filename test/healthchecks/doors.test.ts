import { describe, expect, test } from "vitest";
import { password, user } from "./fake-webui.ts";
import { fake, inputFor, patient, prove } from "./prove.ts";

const txt2img = "POST /sdapi/v1/txt2img";

describe("auth", () => {
  const doors: [string, string, RegExp][] = [
    ["GET /sdapi/v1/cmd-flags", "auth-api", /GET \/sdapi\/v1\/cmd-flags answered 200 without a password/],
    // The real one leaves this open, with --api-auth too.
    ["GET /sdapi/v1/loras", "auth-api", /GET \/sdapi\/v1\/loras answered 200 without a password. Restart the service/],
    [txt2img, "auth-api", /POST \/sdapi\/v1\/txt2img answered 200 without a password/],
    ["GET /config", "auth-ui", /\/config answered 200 without a password/],
    ["GET /file=webui.py", "auth-ui", /\/file=webui\.py answered 404 without a password/],
  ];
  test.each(doors)("%s open", async (name, check, sentence) => {
    const webui = await fake();
    webui.open.add(name);
    const { failed } = await prove(inputFor(webui.url));
    expect(failed[check]).toMatch(sentence);
    expect(Object.keys(failed)).toEqual([check]);
  });

  test("an API that takes any password", async () => {
    const webui = await fake();
    webui.anyPassword = true;
    const { failed } = await prove(inputFor(webui.url));
    expect(failed["auth-api"]).toMatch(/GET \/sdapi\/v1\/cmd-flags answered 200 to a wrong password/);
  });

  test("a login page that takes anything, or nothing", async () => {
    const webui = await fake({ "POST /login": () => ({ body: { success: true } }) });
    expect((await prove(inputFor(webui.url))).failed["auth-ui"]).toMatch(/accepts a wrong password/);
    webui.lies["POST /login"] = () => ({ status: 400, body: {} });
    expect((await prove(inputFor(webui.url))).failed["auth-ui"]).toMatch(/login answered 400 to the right password/);
  });

  test("without a UI there is nothing to refuse", async () => {
    const gone = () => ({ status: 404, body: { detail: "Not Found" } });
    const webui = await fake({
      "GET /": gone,
      "GET /config": gone,
      "GET /info": gone,
      "GET /file=webui.py": gone,
      "GET /file=config.json": gone,
      "POST /login": gone,
    });
    const { proof } = await prove(inputFor(webui.url));
    for (const check of ["auth-ui", "page"]) {
      expect(proof.checks.find(({ name }) => name === check)).toMatchObject({
        ok: true,
        detail: expect.stringContaining("no UI"),
      });
    }
  });

  test("a wrong password of ours is said at once, and nothing shows it", async () => {
    const webui = await fake();
    const { proof, failed, lines } = await prove(inputFor(webui.url, { password: "not-the-right-one" }));
    expect(failed.ready).toMatch(/refused the login: 401/);
    expect(failed["auth-api"]).toMatch(/answered 401 to the right password/);
    expect(failed.txt2img).toBe("Not run: the WebUI was never ready to draw (see ready).");
    expect(JSON.stringify(proof) + lines.join()).not.toContain("not-the-right-one");
  });
});

describe("exposure", () => {
  test("what is open is a warning by name", async () => {
    const webui = await fake();
    const { proof } = await prove(inputFor(webui.url));
    const { ok, detail } = proof.checks.find(({ name }) => name === "exposure")!;
    expect(ok).toBe(true);
    expect(detail).toBe(
      "Warning: open without a password, with no secret in it: /, /openapi.json, /internal/ping, /internal/sysinfo. A gate before the WebUI would close it.",
    );
  });

  test("what does not answer in time is named, and no failure", async () => {
    const webui = await fake({ "GET /docs": () => "hang" });
    const { failed, proof } = await prove(inputFor(webui.url, { deadlines: { ...patient, request: 10 } }));
    expect(failed).toEqual({});
    expect(proof.checks.find(({ name }) => name === "exposure")?.detail).toContain(
      "Not searched, for no answer came: /docs.",
    );
  });

  const basic = Buffer.from(`${user}:${password}`).toString("base64");
  test.each([password, `--api-auth=${user}:${password}`, `Authorization: Basic ${basic}`])(
    "a leak fails (%#)",
    async (leak) => {
      const webui = await fake({
        "GET /internal/sysinfo": () => ({ body: { Environment: { COMMANDLINE_ARGS: leak } } }),
      });
      const { failed, proof, lines } = await prove(inputFor(webui.url));
      expect(Object.keys(failed)).toEqual(["exposure"]);
      expect(failed.exposure).toMatch(/can be read by anyone at \/internal\/sysinfo\. Change the password/);
      const said = JSON.stringify(proof) + lines.join("\n");
      expect(said).not.toContain(password);
      expect(said).not.toContain(basic);
    },
  );
});
