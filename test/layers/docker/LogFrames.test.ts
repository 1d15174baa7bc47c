import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { makeFrameReader } from "../../../src/layers/docker/LogFrames.ts"
import { makeLineCutter, MAX_LINE_BYTES } from "../../../src/layers/runtime/LineCutter.ts"
import { makeTail } from "../../../src/layers/runtime/OutputTail.ts"

const frame = (source: "stdout" | "stderr", bytes: Buffer): Buffer => {
  const header = Buffer.alloc(8)
  header[0] = source === "stderr" ? 2 : 1
  header.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([header, bytes])
}

const Frames = Schema.Array(
  Schema.Struct({
    source: Schema.Literals(["stdout", "stderr"]),
    text: Schema.String.check(Schema.isPattern(/^[a-z\n]{0,40}$/)),
  }),
).check(Schema.isMaxLength(12))
const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 }))).check(
  Schema.isBetweenLength(1, 20),
)

const pieces = (bytes: Buffer, sizes: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const parts: Array<Buffer> = []
  for (let from = 0, at = 0; from < bytes.length; at++) {
    const size = sizes[at % sizes.length] ?? 1
    parts.push(bytes.subarray(from, from + size))
    from += size
  }
  return parts
}

const linesOf = (chunks: ReadonlyArray<Buffer>): ReadonlyArray<string | null> => {
  const lines: Array<string | null> = []
  const cutter = makeLineCutter((line) => lines.push(line))
  for (const chunk of chunks) cutter.feed(chunk)
  cutter.end()
  return lines
}

describe("an engine's log stream", () => {
  it.prop("reads the same however the connection cuts it", [Frames, Cuts], ([frames, cuts]) => {
    const told = { stdout: "", stderr: "" }
    const reader = makeFrameReader((source, bytes) => {
      told[source] += bytes.toString()
    })
    for (const part of pieces(
      Buffer.concat(frames.map(({ source, text }) => frame(source, Buffer.from(text)))),
      cuts,
    ))
      reader(part)
    const wanted = (source: "stdout" | "stderr") =>
      frames.flatMap((one) => (one.source === source ? [one.text] : [])).join("")
    assert.deepStrictEqual(told, { stdout: wanted("stdout"), stderr: wanted("stderr") })
  })

  it.prop("is the same lines however it is cut", [Frames, Cuts], ([frames, cuts]) => {
    const text = frames.map((one) => one.text).join("")
    const wanted = text.split("\n")
    if (wanted.at(-1) === "") wanted.pop()
    assert.deepStrictEqual(linesOf(pieces(Buffer.from(text), cuts)), wanted)
  })

  it("cuts a line at its limit, in however many pieces it comes, and begins the next afresh", () => {
    const long = Buffer.alloc(3 * MAX_LINE_BYTES, "y")
    for (const chunks of [
      [long, Buffer.from("\nafter")],
      pieces(Buffer.concat([long, Buffer.from("\nafter")]), [1_000]),
    ])
      assert.deepStrictEqual(linesOf(chunks), ["y".repeat(MAX_LINE_BYTES), "after"])
  })

  it("keeps an empty line, and tells no line of nothing", () => {
    assert.deepStrictEqual(linesOf([Buffer.from("\n\nx\n")]), ["", "", "x"])
    assert.deepStrictEqual(linesOf([]), [])
  })

  it.prop(
    "a tail is the last bytes, and never more",
    [Frames, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))],
    ([frames, limit]) => {
      const tail = makeTail(limit)
      for (const { text } of frames) tail.feed(Buffer.from(text))
      const whole = frames.map((one) => one.text).join("")
      assert.strictEqual(tail.text(), limit === 0 ? "" : whole.slice(-limit))
    },
  )
})
