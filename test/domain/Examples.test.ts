/** The examples of docs/examples, run as a consumer runs them: only the package's name is resolved to the sources instead of a build. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { pathToFileURL } from "node:url"

const root = path.resolve(import.meta.dirname, "../..")

/** `lamplighter/domain` is `src/domain/index.ts`, and so on. */
const toSources = `
  import { registerHooks } from "node:module"
  registerHooks({
    resolve: (specifier, context, next) =>
      next(
        specifier.startsWith("lamplighter/")
          ? new URL(specifier.slice("lamplighter/".length) + "/index.ts", ${JSON.stringify(`${pathToFileURL(path.join(root, "src"))}/`)}).href
          : specifier,
        context,
      ),
  })`

const printed = (example: string): ReadonlyArray<string> => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      "--import",
      `data:text/javascript,${encodeURIComponent(toSources)}`,
      path.join(root, "docs/examples", example),
    ],
    // Instants are printed as they are: the zone of whoever runs this must not matter.
    { encoding: "utf8", timeout: 15_000, env: { ...process.env, TZ: "Asia/Kolkata" } },
  )
  assert.strictEqual(status, 0, stderr)
  return stdout.trimEnd().split("\n")
}

describe("the examples of scheduling without the daemon", () => {
  it("when-it-fires.ts says what is refused and why, and crosses the gap in spring", () => {
    const lines = printed("when-it-fires.ts")
    assert.match(lines[0] ?? "", /^refused: "every weekday at nine" is refused: .*\(at character 7\)/)
    const gap = lines.indexOf("30 2 * * *: at 02:30 (America/New_York); stored as 30 2 * * *")
    assert.deepStrictEqual(lines.slice(gap + 1, gap + 3), [
      "  2026-03-08T03:00:00-04:00[America/New_York]",
      "  2026-03-09T02:30:00-04:00[America/New_York]",
    ])
    assert.include(lines.at(-1), "it never fires")
  })

  it("own-scheduler.ts catches up a day, applies overlap to each slot, and leaves out an excluded date", () => {
    assert.deepStrictEqual(printed("own-scheduler.ts"), [
      "2026-12-01T08:30:00Z: nothing is due",
      "2026-12-01T09:00:00Z: 0 runs, 0 wait",
      "  Fire 12-01T09:00",
      "  next: 12-01T10:00",
      "2026-12-01T10:00:00Z: 1 runs, 0 wait",
      "  Buffer 12-01T10:00",
      "  next: 12-01T11:00",
      "2026-12-01T11:00:00Z: 1 runs, 1 wait",
      "  Skip 12-01T11:00",
      "  next: 12-01T12:00",
      "2026-12-02T11:30:00Z: 0 runs, 0 wait",
      "  missed: 21, 12-01T12:00 to 12-02T08:00",
      "  Fire 12-02T09:00",
      "  Buffer 12-02T10:00",
      "  Skip 12-02T11:00",
      "  next: 12-02T12:00",
      "2026-12-24T23:00:00Z: 0 runs, 0 wait",
      "  Fire 12-24T23:00",
      "  next: 12-26T00:00",
    ])
  })
})
