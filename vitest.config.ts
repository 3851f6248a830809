import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // On two cores: the tests wait for servers and processes of their own about a third of the time. With four, waits with a limit run out.
    maxWorkers: 3,
  },
});
