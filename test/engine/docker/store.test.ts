import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { IMAGE as BASE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { CONTAINER, harness, IMAGE, type Made, REMOTE_IMAGE } from "./harness.ts";

const { test: made, missing } = await startDocker({ store: "containerd" });
const it = made as TestDocker;
const dir = mkdtempSync(join(tmpdir(), "docker-store-"));
afterAll(async () => {
  await it?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(missing)(`images kept in containerd${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("go by their manifest's digest: what is found, built and run of them is the same when it is read again", async () => {
    writeFileSync(join(dir, "Dockerfile"), `FROM ${BASE}\nRUN echo built > /word\n`);
    const { create, diff, read, delete: remove, provider } = await harness({ host: it.host }, dir);
    const { Id, Descriptor } = (await it.docker.getImage(BASE).inspect()) as { Id: string } & {
      Descriptor?: { digest: string };
    };
    expect(Descriptor?.digest).toBe(Id);
    const unchanged = async (made: Made) => {
      const now = (await read(made)) as Made;
      expect(now.outputs).toEqual(made.outputs);
      expect(await diff(now, made.inputs)).toMatchObject({ changes: "none" });
    };
    try {
      const found = await create(REMOTE_IMAGE, { name: BASE, keepLocally: true });
      expect(found).toMatchObject({ id: Id + BASE, outputs: { imageId: Id, repoDigest: `local/box@${Id}` } });
      await unchanged(found);
      const word = "/bin/sh -c".split(" ");
      for (const builderVersion of ["BuilderV1", "BuilderBuildKit"]) {
        const build = { context: ".", builderVersion };
        const image = await create(IMAGE, {
          imageName: `local/${builderVersion.toLowerCase()}:1`,
          skipPush: true,
          build,
        });
        await unchanged(image);
        const { repoDigest } = image.outputs;
        expect(repoDigest).toMatch(/^sha256:[0-9a-f]{64}$/);
        const said = await create(CONTAINER, {
          ...{ image: repoDigest as string, networkMode: "none", command: [...word, "cat /word"] },
          ...{ attach: true, logs: true, mustRun: false },
        });
        expect(said.outputs.containerLogs).toBe("built\n");
        await unchanged(said);
        await remove(said);
      }
      const running = await create(CONTAINER, { image: Id, networkMode: "none" });
      await unchanged(running);
      await remove(running);
    } finally {
      await provider.close();
    }
  });
});
