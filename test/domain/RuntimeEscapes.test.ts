import { assert, describe, it } from "@effect/vitest"
import { escapeWarning, knownEscapes } from "../../src/domain/RuntimeEscapes.ts"

const idsOf = (version: string) => knownEscapes(version)?.map(({ id }) => id.slice(4)) ?? null

const SIBLINGS = ["2025-31133", "2025-52565", "2025-52881"]

describe("known escapes of runc", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string> | null]> = [
    ["1.0.0-rc93", ["2024-21626", ...SIBLINGS]],
    ["1.1.11", ["2024-21626", ...SIBLINGS]],
    ["1.1.12", SIBLINGS],
    ["1.1.15", SIBLINGS],
    ["1.2.0-rc.1", SIBLINGS],
    ["1.2.7", SIBLINGS],
    ["1.2.8", []],
    ["1.2.9", []],
    ["1.3.0", SIBLINGS],
    ["1.3.2", SIBLINGS],
    ["1.3.3", []],
    ["v1.3.3", []],
    ["1.4.0-rc.2", SIBLINGS],
    ["1.4.0-rc.3", []],
    ["1.4.0", []],
    ["1.5.0", []],
    ["2.0.0", []],
    ["1.1.5+ds1-1+deb12u1", ["2024-21626", ...SIBLINGS]],
    ["crun 1.14", null],
    ["", null],
  ]
  for (const [version, expected] of cases) {
    it(`in ${version || "a text without a version"}: ${expected?.join(", ") || (expected === null ? "nobody knows" : "none")}`, () => {
      assert.deepStrictEqual(idsOf(version), expected)
    })
  }

  it("are told with their numbers, the fixed versions, and that a distribution may have patched them", () => {
    const warning = escapeWarning("1.1.11") ?? ""
    for (const part of ["1.1.11", "CVE-2024-21626", "1.1.12", "1.2.8", "distribution"])
      assert.include(warning, part)
    assert.isNull(escapeWarning("1.3.3"))
  })
})
