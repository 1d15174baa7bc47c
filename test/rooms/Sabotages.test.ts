/** A sabotage that no longer finds its text breaks nothing, and is told only by the long run: here at once. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { parse } from "yaml"

const root = path.resolve(import.meta.dirname, "../..")
const listed = parse(
  fs.readFileSync(path.join(root, "scripts/sabotage/sabotages.yaml"), "utf8"),
) as ReadonlyArray<{
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}>

describe("the sabotages", () => {
  it("find the text that they break exactly once, and change it", () => {
    assert.isAbove(listed.length, 100)
    const astray = listed.filter(({ file, from, to }) => {
      const parts = fs.readFileSync(path.join(root, file), "utf8").split(from).length
      return parts !== 2 || from === to
    })
    assert.deepStrictEqual(
      astray.map(({ name }) => name),
      [],
    )
  })
})
