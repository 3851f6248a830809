import { expect, test } from "vitest";
import { assemble } from "../../stacks/assembly.ts";
import { torchInputs } from "../../stacks/inputs.ts";
import { parseSettings } from "../../stacks/schema.ts";

const host = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const assemblyOf = (webui: object) => assemble("t", parseSettings({ host, webui }, "t"), undefined);

test("a build of torch brings its own packages, xformers and wants; ControlNet's packages fit each", () => {
  expect(assemblyOf({}).wheels.name).toBe("a1111-cu121");
  const newer = assemblyOf({ torch: "cu128", xformers: true, extensions: ["controlnet"] });
  expect(newer.wheels.name).toBe("a1111-cu128+xformers-cu128+controlnet");
  expect(newer.wheels.lock).toMatch(/^torch==2\.8\.0 /m);
  expect(newer.wheels.lock).toMatch(/^xformers==0\.0\.32\.post2 /m);
  expect(newer.wants.diskMb).toBeGreaterThan(assemblyOf({}).wants.diskMb);
  expect(torchInputs(newer)).toMatchObject({ torch: "2.8.0", min_driver: 570, max_sm: 120, other: "cu121" });
  expect(torchInputs(assemblyOf({}))).toMatchObject({ torch: "2.1.2", min_driver: 530, max_sm: 90, other: "cu128" });
  expect(() => assemblyOf({ torch: "cu118" })).toThrow(/atelier:webui\.torch: got "cu118"; accepted: .*cu121.*cu128/);
});
