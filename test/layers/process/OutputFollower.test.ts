import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { tailOf } from "../../../src/layers/process/CappedOutput.ts"
import { followOutput } from "../../../src/layers/process/OutputFollower.ts"
import { MAX_LINE_BYTES } from "../../../src/layers/runtime/LineCutter.ts"

describe("followOutput", () => {
  let directory = ""
  const say = (text: string) => appendFileSync(join(directory, "stdout"), text)

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "lamplighter-output-"))
    say("")
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it("tells each line once, when its newline has come", () => {
    const follower = followOutput(directory, 1_000)
    say("one\ntw")
    assert.deepStrictEqual(follower.look().lines, ["one"])
    assert.deepStrictEqual(follower.look().lines, [])
    say("o\n\nthree")
    assert.deepStrictEqual(follower.look().lines, ["two", ""])
    assert.strictEqual(follower.rest(), "three")
    assert.isUndefined(follower.rest())
    follower.close()
  })

  it("goes on where an earlier one stopped, at the start of the unfinished line", () => {
    const first = followOutput(directory, 1_000)
    say("one\ntw")
    first.look()
    first.close()
    say("o\n")
    const second = followOutput(directory, 1_000)
    assert.deepStrictEqual(second.look().lines, ["two"])
    second.close()
  })

  it("starts from the beginning when the stored offset is beyond the file or no number", () => {
    for (const offset of ["999999", "-4", "x", ""]) {
      rmSync(join(directory, "offset"), { force: true })
      rmSync(join(directory, "stdout"))
      say("one\n")
      appendFileSync(join(directory, "offset"), offset)
      const follower = followOutput(directory, 1_000)
      assert.deepStrictEqual(follower.look().lines, ["one"], offset)
      follower.close()
    }
  })

  it("puts a line together across a cut of the file", () => {
    const follower = followOutput(directory, 10)
    say("0123456789 the st")
    assert.isFalse(follower.look().lost)
    assert.strictEqual(statSync(join(directory, "stdout")).size, 0)
    say("art\nnext\n")
    assert.deepStrictEqual(follower.look().lines, ["0123456789 the start", "next"])
    follower.close()
  })

  it("keeps the tail of what was cut", () => {
    const follower = followOutput(directory, 10)
    say("0123456789abcdef")
    follower.look()
    say("gh")
    assert.strictEqual(String(tailOf(directory, "stdout", 4)), "efgh")
    assert.strictEqual(String(tailOf(directory, "stdout", 100)), "bcdefgh")
    assert.strictEqual(readFileSync(join(directory, "stdout"), "utf8"), "gh")
    follower.close()
  })

  it("reads a bounded part at each look, and admits what it lost", () => {
    const follower = followOutput(directory, 100_000)
    say("a line of sixteen\n".repeat(50_000))
    const look = follower.look()
    assert.isTrue(look.lost)
    assert.isTrue(look.busy)
    assert.isAtMost(look.lines.length, 1_024)
    // What is left of the line that was torn by the cut is not taken for a line.
    say("rest of it\nwhole\n")
    assert.deepStrictEqual(follower.look().lines, ["whole"])
    follower.close()
  })

  it("cuts a line that is too long and keeps none of it longer than that", () => {
    const follower = followOutput(directory, 1_000_000)
    say("é".repeat(MAX_LINE_BYTES))
    assert.deepStrictEqual(follower.look().lines, [])
    say("\nshort\n")
    const { lines } = follower.look()
    assert.strictEqual(lines[0], "é".repeat(MAX_LINE_BYTES / 2))
    assert.strictEqual(lines[1], "short")
    follower.close()
  })
})
