import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { makeOutputOrder } from "../../../src/layers/process/OutputOrder.ts"
import { makeOutputTail } from "../../../src/layers/runtime/OutputTail.ts"
import { DOORBELL } from "../../../src/services/ContainerRuntime.ts"

const bytes = (text: string) => Buffer.from(text)

describe("what a container wrote", () => {
  it("is shown line by line in order of time, both streams together, without doorbells", () => {
    const tail = makeOutputTail(1_000)
    tail.feed("stdout", bytes("one\nha"))
    tail.feed("stderr", bytes("aside\n"))
    tail.feed("stdout", bytes(`lf\n${DOORBELL}\n`))
    tail.feed("stderr", bytes("the end"))
    assert.deepStrictEqual(tail.output(), {
      stdout: `one\nhalf\n${DOORBELL}\n`,
      stderr: "aside\nthe end",
      text: "one\naside\nhalf\nthe end",
    })
  })

  it("is never more than was asked for, whatever was written", () => {
    const tail = makeOutputTail(10)
    for (let n = 0; n < 1_000; n += 1) tail.feed("stdout", bytes("0123456789abcdef\n"))
    tail.feed("stderr", bytes("x".repeat(200_000)))
    const { stderr, stdout, text } = tail.output()
    assert.deepStrictEqual([stdout, stderr, text], ["789abcdef\n", "x".repeat(10), "x".repeat(10)])
  })
})

const Writes = Schema.Array(
  Schema.Struct({
    name: Schema.Literals(["stdout", "stderr"]),
    length: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
  }),
).check(Schema.isMaxLength(30))

describe("the order of two files", () => {
  it.prop(
    "is that of the writes, however the files were cut and however much of them is left",
    [Writes, Schema.Int.check(Schema.isBetween({ minimum: 50, maximum: 400 }))],
    ([writes, cap]) => {
      const order = makeOutputOrder()
      const whole = { stdout: "", stderr: "" }
      const sizes = { stdout: 0, stderr: 0 }
      for (const [n, { length, name }] of writes.entries()) {
        whole[name] += `${String(n).padStart(length, ".")}\n`
        sizes[name] += Math.max(length, String(n).length) + 1
        order.note({ ...sizes }, name)
        if (sizes[name] <= cap) continue
        order.cut(name, sizes[name])
        sizes[name] = 0
      }
      const tails = { stdout: bytes(whole.stdout.slice(-cap)), stderr: bytes(whole.stderr.slice(-cap)) }
      const seen: Array<number> = []
      const told = { stdout: 0, stderr: 0 }
      order.replay(tails, sizes, (name, part) => {
        for (const [, number] of part.toString().matchAll(/(\d*)\n/g)) {
          told[name] += 1
          // The tail of a longer file begins in the middle of a line, which may have lost digits.
          if (told[name] > 1 || whole[name].length <= cap) seen.push(Number(number))
        }
      })
      const lines = (text: string) => text.split("\n").length - 1
      assert.deepStrictEqual(told, {
        stdout: lines(String(tails.stdout)),
        stderr: lines(String(tails.stderr)),
      })
      assert.deepStrictEqual(
        seen,
        seen.toSorted((one, other) => one - other),
      )
    },
  )
})
