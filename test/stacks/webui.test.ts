import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { expect, it } from "vitest";
import { parseSettings } from "../../stacks/schema.ts";
import type { Host } from "../../stacks/settings.ts";
import { webuiAddress } from "../../stacks/webui.ts";

const ssh = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };

function address(host: object, webui: object, mapped = ""): Promise<string> {
  const dialled = { address: "kind" in host && host.kind === "local" ? "127.0.0.1" : "gpu.example.com" } as Host;
  const url = webuiAddress(parseSettings({ host, webui }, "t"), dialled, pulumi.output(mapped));
  return new Promise((told) => url.apply(told));
}

it("the WebUI of this machine is where it listens; another's is where the box is, or its port is mapped to", async () => {
  expect(await address({ kind: "local" }, { listen: "192.0.2.7" })).toBe("http://192.0.2.7:8080");
  expect(await address({ kind: "local" }, { listen: "0.0.0.0" })).toBe("http://127.0.0.1:8080");
  expect(await address({ kind: "local" }, {})).toBe("http://127.0.0.1:8080");
  // A private address of the box is none that is reached from here.
  expect(await address(ssh, { listen: "10.0.0.7" })).toBe("http://gpu.example.com:8080");
  expect(await address(ssh, {}, "http://p.example:27411")).toBe("http://p.example:27411");
  const published = { listen: "192.0.2.7", publicUrl: "https://draw.example.com" };
  expect(await address({ kind: "local" }, published)).toBe("https://draw.example.com");
});

interface Program {
  stdins: Record<string, string>;
  after: Record<string, string[]>;
}

/** What the program makes of each of these settings of the host. */
function programs(...settings: object[]): Program[] {
  const script = fileURLToPath(new URL("./stdins.ts", import.meta.url));
  const args = settings.map((host) => JSON.stringify({ host: { ...ssh, ...host } }));
  return JSON.parse(execFileSync(process.execPath, [script, ...args]).toString());
}

it("another Python is another venv: its packages follow, and the service and the gate that run by them", () => {
  const [one, other] = programs({ python: ["3.10"] }, { python: ["3.11"] }) as [Program, Program];
  const changed = Object.keys(one.stdins).filter((step) => one.stdins[step] !== other.stdins[step]);
  expect(changed.sort()).toEqual(["preflight", "python", "wheels", "service", "gate", "ready"].sort());
  // A bare box has no Python before; sources want none.
  for (const step of ["wheels", "models", "config"]) expect(one.after[step], step).toContain("python");
  expect(one.after.sources).not.toContain("python");
});
