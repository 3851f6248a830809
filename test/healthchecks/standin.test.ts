import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { live } from "../../healthchecks/live.ts";
import { until } from "../helpers/until.ts";
import { inputFor, type Outcome, patient, prove } from "./prove.ts";
import { Standin, standinModel, standinPython } from "./standin.ts";

const found = standinPython();
const reason = "missing" in found ? ` (skipped: ${found.missing})` : "";

// The rehearsal's own WebUI, told to lie as the real one does; see rehearsal/webui/modules/lies.py.
describe.skipIf(reason)(`the stand-in WebUI${reason}`, () => {
  let standin: Standin;
  const input = (more: Record<string, unknown> = {}) =>
    inputFor(standin.url, {
      model: standinModel.file,
      modelSha256: standinModel.sha256,
      version: "v1.10.1-rehearsal",
      stand_in: true,
      width: 128,
      height: 128,
      deadlines: { ...patient, crashed: 60 },
      ...more,
    });

  beforeAll(async () => {
    standin = new Standin("python" in found ? found.python : "");
    await standin.start();
  });
  afterEach(() => standin.tell());
  afterAll(() => standin.remove());

  const lies: [string, string, RegExp, string[]][] = [
    ["black-picture", "txt2img", /picture is black/, ["inpaint"]],
    ["flat-picture", "txt2img", /one flat colour \(about 127, 127, 127\)/, []],
    ["wrong-size", "txt2img", /is 64x128, asked for was 128x128/, []],
    ["different-seed-picture", "same-seed", /same seed gave two pictures/, []],
    ["no-text-chunk", "txt2img", /no text chunk/, ["img2img", "inpaint"]],
    ["unmasked-changed", "inpaint", /changed what the mask protects/, []],
    [
      "open-api",
      "auth-api",
      /Anyone can use this WebUI: GET \/sdapi\/v1\/cmd-flags answered 200 without a password;.* and 18 more/,
      [],
    ],
    ["open-config", "auth-ui", /\/config answered 200 without a password/, []],
    [
      "scripts-refused",
      "page",
      /lacks 2 of 2 scripts and styles: \/file=script\.js answered 403; \/file=style\.css answered 403/,
      [],
    ],
    ["stale-hash", "options", /sd_checkpoint_hash is stale: it says 0000000000/, []],
  ];
  test.each(lies)("%s is caught", async (lie, check, sentence, others) => {
    standin.tell(lie);
    const { failed } = await prove(input());
    expect(failed[check]).toMatch(sentence);
    for (const other of others) expect(failed).toHaveProperty(other);
    expect(Object.values(failed).join()).not.toContain("Not run");
  });

  test("told nothing, it is proved", async () => {
    const { proof, failed } = await prove(input());
    expect(failed).toEqual({});
    expect(proof.images.map(({ kind }) => kind)).toEqual(["txt2img", "img2img", "inpaint", "upscale"]);
    expect(proof.checks.find(({ name }) => name === "version")?.detail).toBe(
      "REHEARSAL: a stand-in WebUI answers, v1.10.1-rehearsal.",
    );
  });

  test("the live check passes", async () => {
    const { failed } = await prove(input(), live);
    expect(failed).toEqual({});
  });

  test("an unknown sampler, taken with 200, is caught", async () => {
    const { failed } = await prove(input({ sampler: "no such sampler" }));
    expect(failed.sampler).toMatch(/with the sampler DPM\+\+ 2M, not with no such sampler/);
  });

  describe("at its start", () => {
    async function proveFromStart(
      lie: string,
      env: Record<string, string>,
      more = {},
      by?: "launch",
    ): Promise<Outcome> {
      await standin.stop();
      standin.tell(lie);
      await standin.launch(env, by);
      return prove(input(more));
    }

    test("unknown-checkpoint-200 is caught: another file draws than the one set", async () => {
      const { failed } = await proveFromStart("unknown-checkpoint-200", {});
      expect(failed.options).toMatch(/is set to v1-5-pruned-emaonly\.ckpt, not to v1-5-pruned-emaonly\.safetensors/);
      expect(failed.model).toMatch(
        /drawn by v1-5-pruned-emaonly \[[0-9a-f]{10}\], not by v1-5-pruned-emaonly\.safetensors/,
      );
    });

    test("startup-race, lost to someone who polls fast, is told as a crashed start", async () => {
      const env = { ATELIER_STANDIN_ROUTES_SECONDS: "3", ATELIER_STANDIN_LINGER_SECONDS: "240" };
      const lost = "Cannot add middleware after an application has started";
      // Our starter ends the process, so that the service restarts it; by itself the WebUI lingers on.
      const proving = proveFromStart("startup-race", env, { deadlines: { ...patient, crashed: 3 } }, "launch");
      await until("the race is lost", async () => {
        await fetch(`${standin.url}/internal/ping`).catch(() => {});
        return standin.log().includes(lost);
      });
      const { failed } = await proving;
      expect(failed.ready, standin.log()).toMatch(
        /start has crashed: its port answers, but \/sdapi has been 404 for 3 s/,
      );
    });

    test("model-never-loads is caught", async () => {
      const deadlines = { ...patient, crashed: 60, ready: 25 };
      const { failed } = await proveFromStart("model-never-loads", {}, { deadlines });
      expect(failed.ready).toMatch(/the API answers, but the model does not load/);
    });

    test("hang is caught within the deadlines", async () => {
      const deadlines = { ready: 5, crashed: 3, request: 1, picture: 2, total: 20 };
      const { failed } = await proveFromStart("hang", {}, { deadlines });
      expect(failed.ready).toMatch(/had no API after 5 s; last: .*(had no answer after|no connection)/);
      expect(failed.txt2img).toMatch(/^Not run/);
    });
  });
});
