import { expect, onTestFinished, test, vi } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { folder, removeFolders } from "../folders.ts";

test("a free port is given once, where it is written down which were given", async () => {
  onTestFinished(() => {
    vi.unstubAllEnvs();
    removeFolders();
  });
  vi.stubEnv("ATELIER_PORT_CLAIMS", folder());
  const ports: number[] = [];
  for (let n = 0; n < 400; n++) ports.push(await freePort());
  expect(new Set(ports).size).toBe(400);
});
