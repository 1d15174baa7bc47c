import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { SeriesId } from "../../src/domain/Ids.ts"
import { HOUR_MS } from "../../src/domain/Instant.ts"
import {
  crashesAtStart,
  crashesMidMessage,
  failsTheMessage,
  healthy,
  silentAfterClaim,
  toolSilent,
} from "../../src/layers/memory/ScriptedAgents.ts"
import { MemoryChannels } from "../../src/layers/memory/MemoryChannels.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import type { SeriesOperation } from "../../src/services/SessionStore.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { pass, timeline } from "../support/Story.ts"
import { messageOf, say, SESSION } from "../../src/testing/Timeline.ts"

describe("timelines that went wrong elsewhere", () => {
  it.effect("a message is woken for, answered, delivered once, and its container goes when it is idle", () =>
    timeline({ script: () => healthy({ workMs: 3_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(1)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "completed")
        assert.strictEqual(message.tries, 0)
        const channels = yield* MemoryChannels
        assert.strictEqual((yield* channels.sends).length, 1)
        const store = yield* SessionStore
        assert.strictEqual((yield* store.read((reader) => reader.liveIncarnations())).length, 1)
        yield* pass(7)
        assert.strictEqual((yield* store.read((reader) => reader.liveIncarnations())).length, 0)
        const [last] = yield* store.read((reader) => reader.incarnations(SESSION, { limit: 1 }))
        assert.strictEqual(last?.reason, "idle")
      }),
    ),
  )

  it.effect("a poison message is executed six times and failed, and its neighbours pay at most one try", () =>
    timeline(
      { script: () => crashesMidMessage({ poison: ({ id }) => id === "poison", workMs: 1_000 }) },
      ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "good-1", 0)
          yield* say(look, "poison", 0)
          yield* say(look, "good-2", 0)
          yield* pass(15)
          const poison = yield* messageOf("poison")
          assert.strictEqual(poison.state, "failed")
          assert.strictEqual(poison.attempts, 6)
          assert.strictEqual(poison.tries, 6)
          for (const id of ["good-1", "good-2"]) {
            const good = yield* messageOf(id)
            assert.strictEqual(good.state, "completed", id)
            assert.isAtMost(good.tries, 1, id)
          }
        }),
    ),
  )

  it.effect("a claim left by the previous container does not kill the fresh one", () =>
    timeline(
      {
        script: (_, launch) => (launch === 1 ? silentAfterClaim() : healthy({ workMs: 120_000 })),
        policy: { ceilingMs: 60_000 },
      },
      ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "m1", 0)
          yield* pass(8)
          const message = yield* messageOf("m1")
          assert.strictEqual(message.state, "completed")
          assert.strictEqual(message.tries, 1)
          assert.strictEqual(message.attempts, 2)
        }),
    ),
  )

  it.effect("a container that never claims is backed off and never costs a try", () =>
    timeline({ script: () => crashesAtStart(1) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(60)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "pending")
        assert.strictEqual(message.tries, 0)
        assert.strictEqual(message.attempts, 0)
        const store = yield* SessionStore
        const lives = (yield* store.read((reader) => reader.session(SESSION)))?.incarnation ?? 0
        // 10 s doubling to 5 min: 5 starts in the first 150 s, then one every 5 min.
        assert.isAtLeast(lives, 10)
        assert.isAtMost(lives, 20)
      }),
    ),
  )

  it.effect("a wake that fails for an hour burns no try, and the work is done when the engine is back", () =>
    timeline({ script: () => healthy() }, ({ look }) =>
      Effect.gen(function* () {
        const engine = yield* SimulatedEngine
        yield* engine.down
        yield* say(look, "m1", 0)
        yield* pass(60)
        const waiting = yield* messageOf("m1")
        assert.strictEqual(waiting.state, "pending")
        assert.strictEqual(waiting.tries, 0)
        yield* engine.up
        yield* pass(2)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "completed")
        assert.strictEqual(message.tries, 0)
      }),
    ),
  )

  it.effect(
    "a container that rested for longer than the ceiling takes the next message, and is not killed for its rest",
    () =>
      timeline({ script: () => healthy({ workMs: 3_000 }), policy: { idleMs: 3 * HOUR_MS } }, ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "m1", 0)
          yield* pass(90)
          yield* say(look, "m2", 0)
          yield* pass(1)
          assert.strictEqual((yield* messageOf("m2")).state, "completed")
          const store = yield* SessionStore
          const lives = yield* store.read((reader) => reader.incarnations(SESSION, { limit: 10 }))
          assert.deepStrictEqual(
            lives.map(({ phase }) => phase),
            ["running"],
          )
        }),
      ),
  )

  it.effect("a silent tool with a declared 45-minute timeout lives", () =>
    timeline({ script: () => toolSilent({ declaredMs: 45 * 60_000, workMs: 40 * 60_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(42)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "completed")
        assert.strictEqual(message.attempts, 1)
      }),
    ),
  )

  it.effect("a silent tool without a declared timeout dies at 30 minutes, not before", () =>
    // The simulated agent beats in the instant of its claim, which does not count as after it: the claim rule is kept out of the way.
    timeline(
      {
        script: () => toolSilent({ declaredMs: null, workMs: 40 * 60_000 }),
        policy: { claimToleranceMs: 3_600_000 },
      },
      ({ look }) =>
        Effect.gen(function* () {
          const store = yield* SessionStore
          yield* say(look, "m1", 0)
          yield* pass(29)
          assert.strictEqual((yield* messageOf("m1")).state, "claimed")
          yield* pass(2)
          const message = yield* messageOf("m1")
          assert.strictEqual(message.tries, 1)
          const lives = yield* store.read((reader) => reader.incarnations(SESSION, { limit: 10 }))
          assert.include(
            lives.map(({ reason }) => reason),
            "ceiling",
          )
        }),
    ),
  )

  it.effect("an agent that says 'not retryable' fails its message at once", () =>
    timeline({ script: () => failsTheMessage({ retryable: false, error: "bad input" }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(1)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "failed")
        assert.strictEqual(message.attempts, 1)
        assert.strictEqual(message.error, "bad input")
        const channels = yield* MemoryChannels
        assert.strictEqual((yield* channels.sends).length, 1, "its origin is told")
      }),
    ),
  )

  it.effect("failed occurrences do not end their series, and no slot fires twice", () =>
    timeline(
      { script: () => failsTheMessage({ retryable: false }), policy: { idleMs: 30_000 } },
      ({ look }) =>
        Effect.gen(function* () {
          yield* addTask("t1", 600_000)
          yield* look.ring
          yield* pass(61)
          const store = yield* SessionStore
          const runs = yield* store.read((reader) =>
            reader.runs({ seriesId: SeriesId.make("t1") }, { limit: 100 }),
          )
          const failed = runs.filter(({ outcome }) => outcome === "failed")
          assert.strictEqual(failed.length, 7)
          assert.strictEqual(new Set(failed.map(({ slot }) => slot)).size, 7)
          const series = yield* store.read((reader) => reader.series(SeriesId.make("t1")))
          assert.strictEqual(series?.status, "active")
        }),
    ),
  )

  it.effect("a paused series stays paused when the ack of its last run comes late", () =>
    timeline({ script: () => healthy({ workMs: 30_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* addTask("t1", 600_000)
        yield* look.ring
        for (let second = 0; second < 10; second++) yield* TestClock.adjust("1 second")
        const store = yield* SessionStore
        const [open] = yield* store.read((reader) => reader.openOccurrences(SeriesId.make("t1"), 1))
        assert.strictEqual(open?.state, "claimed")
        yield* change("t1", { _tag: "Pause", note: null })
        yield* pass(30)
        const series = yield* store.read((reader) => reader.series(SeriesId.make("t1")))
        assert.strictEqual(series?.status, "paused")
        const runs = yield* store.read((reader) =>
          reader.runs({ seriesId: SeriesId.make("t1") }, { limit: 100 }),
        )
        assert.deepStrictEqual(
          runs.map(({ outcome }) => outcome),
          ["completed"],
        )
      }),
    ),
  )

  it.effect("two sweeps at once do nothing twice", () =>
    timeline({ script: () => healthy({ workMs: 2_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        const sweep = yield* Sweep
        for (let n = 0; n < 10; n++) yield* say(look, `m${n}`, 0)
        yield* Effect.all([sweep.pass, sweep.pass, sweep.pass], { concurrency: "unbounded" })
        yield* pass(2)
        const store = yield* SessionStore
        assert.strictEqual((yield* store.read((reader) => reader.session(SESSION)))?.incarnation, 1)
        for (let n = 0; n < 10; n++) {
          const message = yield* messageOf(`m${n}`)
          assert.strictEqual(message.state, "completed")
          assert.strictEqual(message.attempts, 1)
        }
      }),
    ),
  )
})

const addTask = Effect.fnUntraced(function* (id: string, everyMs: number) {
  const store = yield* SessionStore
  return yield* store.createSeries(SESSION, {
    id: SeriesId.make(id),
    name: null,
    prompt: "tick",
    script: null,
    schedule: { _tag: "Interval", everyMs, anchor: 0 },
    priority: 1,
    ttlMs: null,
    channelType: null,
    platformId: null,
    threadId: null,
  })
})

const change = Effect.fnUntraced(function* (id: string, operation: SeriesOperation) {
  const store = yield* SessionStore
  return yield* store.changeSeries(SeriesId.make(id), operation)
})
