import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // One more than cores: many a test waits for servers and child processes of its own.
    maxWorkers: 3,
  },
});
