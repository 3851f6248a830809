import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/helpers/portClaims.ts"],
    // They guard against hanging: no test is about how fast a machine is, and one of many others at work may be ten times slower.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // On two cores: the tests wait for servers and processes of their own about a third of the time.
    maxWorkers: 4,
  },
});
