import { describe, expect, it } from "vitest";
import { gateOf } from "../../stacks/schema/gate.ts";
import { parseSettings } from "../../stacks/schema.ts";

const host = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const gate = (webui: object) => gateOf(parseSettings({ host, webui }, "t").webui);
const defaults = { innerPort: 18080, queue: 16, deadline: 110, interrupt: true };

describe("webui.gate", () => {
  it("refuses what it is not", () => {
    const wrong: [object, string][] = [
      [{ gate: "yes" }, "atelier:webui.gate: "],
      [{ gate: { que: 1 } }, "atelier:webui.gate.que: not a setting"],
      [{ gate: { queue: -1 } }, "atelier:webui.gate.queue: got -1; accepted: 0 or more"],
      [{ gate: { innerPort: 8080 } }, "atelier:webui.gate.innerPort: "],
      [{ port: 9000, gate: { innerPort: 9000 } }, "another port than webui.port, which is the gate's"],
    ];
    for (const [webui, sentence] of wrong) expect(() => gate(webui)).toThrow(sentence);
  });

  it("is on where anyone can reach the WebUI, and off behind a tunnel, unless the settings say otherwise", () => {
    expect(gate({})).toEqual(defaults);
    expect(gate({ exposure: "tunnel" })).toBeUndefined();
    expect(gate({ gate: false })).toBeUndefined();
    expect(gate({ gate: { enabled: false, queue: 3 } })).toBeUndefined();
    expect(gate({ exposure: "tunnel", gate: true })).toEqual(defaults);
    expect(gate({ exposure: "tunnel", gate: { queue: 3 } })).toEqual({ ...defaults, queue: 3 });
  });

  it("puts the WebUI on a port that is one, and is not the gate's", () => {
    expect(gate({ gate: { innerPort: 7860 } })?.innerPort).toBe(7860);
    for (const [port, inner] of [
      [1, 10_001],
      [19_999, 29_999],
      [20_000, 10_000],
      [65_535, 55_535],
    ])
      expect(gate({ port })?.innerPort).toBe(inner);
  });
});
