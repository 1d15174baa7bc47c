import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Writable } from "node:stream"
import * as StdoutChannel from "../../../src/layers/channels/StdoutChannel.ts"
import { sampleDelivery } from "../../support/SampleDelivery.ts"

const collecting = () => {
  const written: Array<string> = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString("utf8"))
      done()
    },
  })
  return { written, stream }
}

describe("StdoutChannel", () => {
  it.effect("writes one line of JSON per delivery", () =>
    Effect.gen(function* () {
      const { written, stream } = collecting()
      const channel = yield* StdoutChannel.make({ name: "stdout", stream })
      assert.deepStrictEqual(yield* channel.send(sampleDelivery()), { platformMessageId: null })
      yield* channel.send(sampleDelivery({ id: "s1/out-2", inReplyTo: null, content: '"plain"' }))
      yield* channel.send(sampleDelivery({ id: "s1/out-3", content: '{"other":[1]}' }))
      assert.deepStrictEqual(written, [
        '{"delivery":"s1/out-1","session":"s1","inReplyTo":"m1","text":"hello"}\n',
        '{"delivery":"s1/out-2","session":"s1","inReplyTo":null,"text":"plain"}\n',
        '{"delivery":"s1/out-3","session":"s1","inReplyTo":"m1","text":"{\\"other\\":[1]}"}\n',
      ])
    }),
  )

  it.effect("lets no control character of an agent reach the terminal, and loses none", () =>
    Effect.gen(function* () {
      const { written, stream } = collecting()
      const channel = yield* StdoutChannel.make({ name: "stdout", stream })
      const text = "\u001b[2J\u009b2J\u0007\r\n\u202eevil\u2028\u007f"
      yield* channel.send(sampleDelivery({ content: JSON.stringify({ text }) }))
      const line = written.join("").slice(0, -1)
      assert.isTrue(
        [...line].every((character) => character >= " " && character <= "~"),
        line,
      )
      assert.strictEqual(JSON.parse(line).text, text)
    }),
  )

  it.effect("a closed stream is a transient error, and no crash", () =>
    Effect.gen(function* () {
      const broken = new Writable({
        write(_chunk, _encoding, done) {
          done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }))
        },
      })
      const channel = yield* StdoutChannel.make({ name: "stdout", stream: broken })
      const first = yield* Effect.flip(channel.send(sampleDelivery()))
      assert.strictEqual(first.kind, "Transient")
      assert.include(first.message, "EPIPE")
      const second = yield* Effect.flip(channel.send(sampleDelivery()))
      assert.strictEqual(second.kind, "Transient")
      // The event of a closed pipe can come long after the write; without a listener this would throw.
      assert.isTrue(broken.emit("error", new Error("late")))
    }),
  )

  it.effect("a reader that takes nothing holds a send up for ten seconds, not for ever", () =>
    Effect.gen(function* () {
      const stuck = new Writable({ write: () => {} })
      const channel = yield* StdoutChannel.make({ name: "stdout", stream: stuck })
      const fiber = yield* Effect.forkChild(Effect.flip(channel.send(sampleDelivery())))
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).kind, "Transient")
    }),
  )
})
