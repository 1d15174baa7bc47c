/**
 * Two tiers: `npm test` runs `fast`, `npm run test:full` both. Two workers, as processes: the tests start children, and a crash of
 * native code must not take its neighbours along.
 */
import { defineConfig } from "vitest/config"
import { patience } from "./test/support/Patience.ts"
import { FULL_TIER } from "./test/support/Tiers.ts"

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: patience(60_000),
    hookTimeout: patience(60_000),
    projects: [
      { extends: true, test: { name: "fast", include: ["test/**/*.test.ts"], exclude: [...FULL_TIER] } },
      { extends: true, test: { name: "full", include: [...FULL_TIER] } },
    ],
  },
})
