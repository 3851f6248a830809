import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { Gate, Inner, tool, toolPicture } from "./lib/gate.ts";

const { path, missing } = python("gate");
const first = "v1-5.safetensors [0123456789]";
const switches = "POST /sdapi/v1/options";
const drawn = "POST /sdapi/v1/txt2img";

describe.skipIf(missing)(`checkpoints through the gate${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: Inner;
  beforeAll(async () => {
    inner = new Inner();
    gate = new Gate(path);
    await gate.start(await inner.start(), { queue: 4 });
  });
  afterEach(async () => {
    inner.holds = false;
    inner.broken.clear();
    await until("the line is empty", async () => {
      for (const { finish } of [...inner.held]) finish();
      return !(await gate.call("/internal/gate")).json.drawing;
    });
    inner.set = first;
    inner.asked.length = 0;
  });
  afterAll(async () => {
    await gate.stop();
    await inner.stop();
  });
  const set = (name: string, headers: Record<string, string> = { "user-agent": "curl/8" }) =>
    gate.api("options", { sd_model_checkpoint: name }, { headers });
  /** The checkpoint that each picture was asked of the WebUI with. */
  const used = () => inner.of(drawn).map(({ body }) => body.override_settings?.sd_model_checkpoint);
  const draw = (body: object = {}, agent = "curl/8") =>
    gate.api("txt2img", { prompt: "x", ...body }, { headers: { "user-agent": agent } });

  it("says that a checkpoint is unknown, and which there are, where the WebUI draws with another or answers 500", async () => {
    const known = "there are: sub/other.safetensors, v1-5.ckpt, v1-5.safetensors";
    for (const answer of [
      await set("nope"),
      await set("v1-5.safetensors [ffffffffff]"),
      await set("nope", tool),
      await draw({ override_settings: { sd_model_checkpoint: "nope" } }),
      await gate.api("txt2img", toolPicture("nope"), { headers: tool }),
      await gate.api("img2img", { init_images: [], override_settings: { sd_model_checkpoint: "nope" } }),
    ])
      expect([answer.status, answer.json.error, answer.json.detail]).toEqual([
        404,
        "UnknownCheckpoint",
        expect.stringContaining(known),
      ]);
    expect([inner.of(switches), inner.of(drawn)]).toEqual([[], []]);
  });

  it("says that a checkpoint could not be loaded, where the WebUI answers 200 and keeps the old one", async () => {
    inner.broken.add("sub/other.safetensors");
    gate.webuiSays("changing setting sd_model_checkpoint to sub/other.safetensors: SafetensorError\n");
    const { status, json } = await set("other");
    expect([status, json.error]).toEqual([500, "LoadFailed"]);
    expect(json.detail).toMatch(
      /^The WebUI could not load the checkpoint sub\/other\.safetensors; v1-5\.safetensors stays set; its log says: changing setting .*SafetensorError/,
    );
    // As the real one's log ends; a GPU's error has a dot in its name too.
    gate.webuiSays("Traceback (most recent call last):\n  …\ntorch.cuda.OutOfMemoryError: CUDA out of memory.\n\n");
    expect((await set("other")).json.detail).toMatch(
      /stays set; its log says: torch\.cuda\.OutOfMemoryError: CUDA out of memory\.: the GPU's memory is full/,
    );
    // And nothing is drawn with it from now on without being asked for.
    expect((await draw()).status).toBe(200);
    expect(used()).toEqual([undefined]);
  });

  it("answers at once where it is set already, by any of its names, while a picture is drawn and the line is full", async () => {
    inner.holds = true;
    const all = Array.from({ length: 5 }, (_, number) => draw({ prompt: String(number) }));
    await gate.waiting(4);
    const names = [
      "v1-5.safetensors",
      first,
      "v1-5",
      "0123456789",
      `0123456789${"a".repeat(54)}`,
      "/models/v1-5.safetensors",
    ];
    for (const name of [...names, "v1-5 [0123456789]", "v1-5.safetensors [0123456789]"]) {
      const { status, text } = await set(name);
      expect([name, status, text]).toEqual([name, 200, "null"]);
    }
    expect(inner.of(switches)).toEqual([]);
    // What comes with it is set, and only that.
    expect((await gate.api("options", { sd_model_checkpoint: "v1-5", samples_format: "jpg" })).status).toBe(200);
    expect(inner.of(switches).map(({ body }) => body)).toEqual([{ samples_format: "jpg" }]);
    expect((await set("other")).status).toBe(503);
    await until("all are drawn", async () => {
      for (const { finish } of [...inner.held]) finish();
      return inner.of(drawn).length === 5 && inner.held.length === 0;
    });
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array(5).fill(200));
  });

  it("switches in its turn, not in the middle of a picture", async () => {
    inner.holds = true;
    const picture = draw({ prompt: "before" });
    await inner.draws(1);
    const other = set("sub_other");
    await gate.waiting(1);
    expect(inner.of(switches)).toEqual([]);
    inner.held[0]?.finish();
    expect([(await picture).status, (await other).status]).toEqual([200, 200]);
    expect(inner.of(switches).map(({ body }) => body)).toEqual([{ sd_model_checkpoint: "sub/other.safetensors" }]);
    expect(inner.set).toMatch(/^sub\/other\.safetensors/);
  });

  it("passes other options on as they are, and what is no JSON to be refused by the WebUI", async () => {
    inner.own[switches] = ({ raw }) => ({ status: 422, json: { detail: raw.toString() } });
    for (const body of ['{"samples_format": "jpg"}', "{torn", '{"sd_model_checkpoint": 7}', "[]"]) {
      const { status, json } = await gate.api("options", body);
      expect([status, json.detail]).toEqual([422, body]);
    }
    delete inner.own[switches];
  });

  it("keeps two of Dify's apps apart: each draws with its own, and the WebUI's option is left alone", async () => {
    // As both of them come through one address, one between the other's two calls.
    const ask = (model: string) => set(model, tool);
    const picture = (model: string, prompt: string) =>
      gate.api("txt2img", toolPicture(model, { prompt }), { headers: tool });
    expect((await ask("v1-5")).text).toBe("null");
    expect((await ask("sub_other")).text).toBe("null");
    expect((await picture("sub_other", "second")).status).toBe(200);
    expect((await picture("v1-5", "first")).status).toBe(200);
    expect(used()).toEqual(["sub/other.safetensors", "v1-5.safetensors"]);
    // Where only the credentials name a model, the picture says none: it means what its options asked for, in their order.
    inner.asked.length = 0;
    await ask("v1-5");
    await ask("sub_other");
    for (const prompt of ["first", "second"]) await picture("", prompt);
    expect(used()).toEqual(["v1-5.safetensors", "sub/other.safetensors"]);
    // One more picture of the same app, without options.
    await picture("", "third");
    expect(used().at(-1)).toBe("sub/other.safetensors");
    expect(inner.of(switches)).toEqual([]);
    const [sent] = inner.of(drawn);
    expect([sent?.body.override_settings_restore_afterwards, sent?.headers["content-type"]]).toEqual([
      true,
      "application/json",
    ]);
  });

  it("sets after all what was asked for as Dify's tool does, and no picture followed", async () => {
    expect((await set("sub_other", { ...tool, "user-agent": "python-requests/1" })).status).toBe(200);
    expect(inner.of(switches)).toEqual([]);
    await until("it is set", () => inner.set.startsWith("sub/other"));
    expect(inner.of(switches)).toHaveLength(1);
  });

  it("keeps to what a client had set when another sets something else", async () => {
    await set("sub_other", { "user-agent": "one" });
    await set("v1-5.ckpt", { "user-agent": "two" });
    await draw({}, "one");
    await draw({}, "two");
    await draw({ override_settings: { sd_model_checkpoint: "v1-5.safetensors" } }, "one");
    await draw({}, "three");
    expect(used()).toEqual(["sub/other.safetensors", "v1-5.ckpt", "v1-5.safetensors", undefined]);
  });

  it("takes an empty name for none, and a name of two files for the one that is set", async () => {
    await draw({ override_settings: { sd_model_checkpoint: "", CLIP_stop_at_last_layers: 2 } }, "nobody");
    expect(inner.of(drawn)[0]?.body.override_settings).toEqual({ CLIP_stop_at_last_layers: 2 });
    await draw({ override_settings: { sd_model_checkpoint: "v1-5" } }, "nobody");
    expect(used().at(-1)).toBe("v1-5.safetensors");
    await draw({ override_settings: { sd_model_checkpoint: "v1-5.ckpt" } }, "nobody");
    expect(used().at(-1)).toBe("v1-5.ckpt");
  });
});
