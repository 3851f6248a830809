import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodePicture } from "../../healthchecks/picture.ts";
import { fake, inputFor, prove } from "./prove.ts";

const names = [
  ["ready", "auth-api", "auth-ui", "page", "exposure", "txt2img", "options", "model", "sampler", "version"],
  ["same-seed", "other-seed", "img2img", "inpaint", "upscale"],
].flat();

test("an honest WebUI is proved, with its pictures", async () => {
  const webui = await fake();
  const input = inputFor(webui.url, { version: "v1.10.1" });
  const { proof, failed } = await prove(input);
  expect(failed).toEqual({});
  expect(proof.ok).toBe(true);
  expect(proof.checks.map(({ name }) => name)).toEqual(names);
  expect(proof.webui).toEqual({
    url: webui.url,
    version: "v1.10.1",
    commit: "82a973c04367123ae98bd9abdf80d9eda9b910e2",
  });
  expect(proof.images.map(({ kind, width, seed }) => [kind, width, seed])).toEqual([
    ["txt2img", 64, 42],
    ["img2img", 64, 44],
    ["inpaint", 64, 43],
    ["upscale", 128, 42],
  ]);
  for (const image of proof.images) {
    const picture = decodePicture(readFileSync(join(String(input.reportDir), image.path)));
    expect([picture.width, picture.height]).toEqual([image.width, image.height]);
  }
});
