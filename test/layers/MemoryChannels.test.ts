import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Memory from "../../src/layers/memory/MemoryChannels.ts"
import { Channels } from "../../src/services/Channels.ts"
import { sampleDelivery } from "../support/SampleDelivery.ts"

const channel = (type: string) =>
  Effect.map(Channels, (channels) => {
    const found = channels.get(type)
    if (found === undefined) throw new Error(`no channel ${type}`)
    return found
  })

describe("MemoryChannels", () => {
  it.effect("records sends in order, with their time", () =>
    Effect.gen(function* () {
      const hook = yield* channel("hook")
      const memory = yield* Memory.MemoryChannels
      yield* hook.send(sampleDelivery())
      yield* TestClock.adjust("1 second")
      yield* hook.send(sampleDelivery({ id: "s1/out-2" }))
      assert.deepStrictEqual(
        (yield* memory.sends).map(({ order, at, delivery, outcome }) => [order, at, delivery.id, outcome]),
        [
          [1, 0, "s1/out-1", "Deliver"],
          [2, 1_000, "s1/out-2", "Deliver"],
        ],
      )
    }).pipe(Effect.provide(Memory.layer(["hook"]))),
  )

  it.effect("fails as scripted, once per script entry, and takes what was ambiguous", () =>
    Effect.gen(function* () {
      const hook = yield* channel("hook")
      const memory = yield* Memory.MemoryChannels
      yield* memory.script("hook", [
        { _tag: "Transient", retryAfterMs: 5_000 },
        { _tag: "Permanent", message: "no such user" },
        { _tag: "Ambiguous" },
      ])
      const transient = yield* Effect.flip(hook.send(sampleDelivery()))
      assert.deepStrictEqual([transient.kind, transient.retryAfterMs], ["Transient", 5_000])
      const permanent = yield* Effect.flip(hook.send(sampleDelivery()))
      assert.deepStrictEqual([permanent.kind, permanent.message], ["Permanent", "no such user"])
      const ambiguous = yield* Effect.flip(hook.send(sampleDelivery()))
      assert.strictEqual(ambiguous.kind, "Transient")
      const answer = yield* hook.send(sampleDelivery())
      assert.deepStrictEqual(answer, { platformMessageId: "hook-1" })
      assert.deepStrictEqual(
        (yield* memory.taken).map(({ order, repeat }) => [order, repeat]),
        [
          [3, false],
          [4, true],
        ],
      )
    }).pipe(Effect.provide(Memory.layer(["hook"]))),
  )

  it.effect("keeps the scripts of channels apart, and decides by delivery first", () =>
    Effect.gen(function* () {
      const memory = yield* Memory.MemoryChannels
      yield* memory.script("hook", [{ _tag: "Permanent" }])
      yield* memory.decideWith((delivery) =>
        delivery.id === "s1/poison" ? { _tag: "Transient" } : undefined,
      )
      yield* (yield* channel("stdout")).send(sampleDelivery())
      const hook = yield* channel("hook")
      assert.strictEqual(
        (yield* Effect.flip(hook.send(sampleDelivery({ id: "s1/poison" })))).kind,
        "Transient",
      )
      assert.strictEqual((yield* Effect.flip(hook.send(sampleDelivery()))).kind, "Permanent")
    }).pipe(Effect.provide(Memory.layer(["stdout", "hook"]))),
  )

  it.effect("can hang until it is interrupted", () =>
    Effect.gen(function* () {
      const hook = yield* channel("hook")
      const memory = yield* Memory.MemoryChannels
      yield* memory.script("hook", [{ _tag: "Hang" }])
      const fiber = yield* Effect.forkChild(hook.send(sampleDelivery()), { startImmediately: true })
      yield* TestClock.adjust("1 day")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* memory.taken).length, 1)
    }).pipe(Effect.provide(Memory.layer(["hook"]))),
  )

  it.effect("refuses beyond its limit instead of growing", () =>
    Effect.gen(function* () {
      const hook = yield* channel("hook")
      yield* hook.send(sampleDelivery())
      assert.strictEqual(
        (yield* Effect.flip(hook.send(sampleDelivery({ id: "s1/out-2" })))).kind,
        "Transient",
      )
      assert.strictEqual((yield* (yield* Memory.MemoryChannels).sends).length, 1)
    }).pipe(Effect.provide(Memory.layer(["hook"], { maxRecorded: 1 }))),
  )
})
