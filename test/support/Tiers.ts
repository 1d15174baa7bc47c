/**
 * The files of `npm run test:full` that `npm test` leaves out, and why. Everything else is the fast tier: it needs Node alone, and is
 * over in minutes.
 */
export const FULL_TIER: ReadonlyArray<string> = [
  // An engine.
  "test/docker/**/*.test.ts",
  "test/contract/DockerRuntime.test.ts",
  "test/cli/Images.test.ts",
  // Many kills, faults of the system's calls, full disks, clocks that jump.
  "test/reliability/**/*.test.ts",
  // A daemon under siege.
  "test/hostile/Besieged.test.ts",
  // Many worlds.
  "test/simulation/Campaign.test.ts",
  // The package, packed and installed.
  "test/package/**/*.test.ts",
]
