import { expect, test } from "vitest";
import { assemble } from "../../stacks/assembly.ts";
import { parseSettings } from "../../stacks/schema.ts";

const host = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const own = (name: string, file: string, kind = "checkpoint") => ({
  ...{ name, file, kind },
  sources: [{ url: `https://example.com/${file}` }],
});
const files = (...models: unknown[]) =>
  assemble("t", parseSettings({ host, models }, "t"), undefined).models.map(({ file }) => file);

test("two models with one name, or of one kind with one file, are a mistake", () => {
  expect(() => files("v1-5-pruned-emaonly", own("v1-5-pruned-emaonly", "mine.safetensors"))).toThrow(
    "atelier:models: two of them have the name v1-5-pruned-emaonly; accepted: each once",
  );
  expect(() => files(own("a", "x.safetensors"), own("b", "x.safetensors"))).toThrow(
    "atelier:models: a and b have the file x.safetensors; accepted: each once",
  );
  // Each kind has a folder of its own.
  expect(files(own("a", "x.safetensors"), own("b", "x.safetensors", "vae"))).toHaveLength(2);
});
