import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { noSshd } from "../helpers/sshd.ts";
import { type FileServer, honest, safetensors, serving } from "../host/lib/server.ts";
import { Project } from "./project.ts";

const contents = { one: safetensors(40_000, 1), two: safetensors(40_000, 2), upscaler: safetensors(40_000, 3) };
const sha = (name: keyof typeof contents) => createHash("sha256").update(contents[name]).digest("hex");

describe.skipIf(noSshd)("models that change on a running WebUI", () => {
  let project: Project;
  const serve = serving();
  let server: FileServer;
  const entry = (name: keyof typeof contents, file: string, kind: string) => ({
    name: file.split(".")[0],
    kind,
    file,
    sha256: sha(name),
    sources: [{ url: `${server.base}${name}` }],
  });
  const up = async (...models: object[]) => {
    await project.settings({ models });
    const { exitCode, all } = await project.atelier(["up", "--skip-preview"]);
    expect(exitCode, all).toBe(0);
    return project.report();
  };
  const drewWith = ({ checks }: ReturnType<Project["report"]>) => checks.find(({ name }) => name === "model")?.detail;

  beforeAll(async () => {
    server = await serve((request, response) =>
      honest(contents[request.url?.slice(1) as keyof typeof contents] ?? Buffer.alloc(0))(request, response),
    );
    project = new Project();
  });
  afterAll(() => project?.remove());

  it("another content under the same name is what draws next, and the old one when it comes back", async () => {
    const file = "own.safetensors";
    expect(drewWith(await up(entry("one", file, "checkpoint")))).toContain(sha("one").slice(0, 10));
    expect(drewWith(await up(entry("two", file, "checkpoint")))).toContain(sha("two").slice(0, 10));
    // Its file is older than the WebUI's memory of the other.
    expect(drewWith(await up(entry("one", file, "checkpoint")))).toContain(sha("one").slice(0, 10));
    // An upscaler is listed only where it lay there when the WebUI started.
    const models = [entry("one", file, "checkpoint"), entry("upscaler", "own-upscaler.safetensors", "upscaler")];
    const { checks } = await up(...models);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    await project.settings({ models });
    const again = await project.atelier(["up"]);
    expect(again.all).toContain("No changes");
    // Such as of outputs that a stack of this kind doesn't have.
    expect(again.all).not.toContain("warning:");
  });
});
