import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores, and the tests start servers and child processes of their own: with more, waits with a limit run out.
    maxWorkers: 2,
  },
});
