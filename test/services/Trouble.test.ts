import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { makeTrouble } from "../../src/services/Trouble.ts"

describe("what fails again and again", () => {
  it.effect("is told once when it begins and once when it is over, with the count", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const trouble = makeTrouble("writing to the ledger")
      yield* trouble.worked
      assert.isNull(trouble.current())
      for (let second = 0; second < 128; second++) {
        yield* trouble.failed("the disk is full")
        yield* TestClock.adjust("100 millis")
      }
      assert.deepInclude(trouble.current(), { count: 128, message: "the disk is full", since: 0 })
      yield* trouble.worked
      yield* trouble.worked
      assert.isNull(trouble.current())
      assert.deepStrictEqual(lines, [
        "writing to the ledger fails: the disk is full",
        "writing to the ledger works again: 128 failures in 12800 ms",
      ])
    }).pipe(Effect.provide(Layer.mergeAll(Logger.layer([logger]))))
  })
})
