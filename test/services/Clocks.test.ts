/** A clock that is set, or a host that sleeps, while a pass goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Clocks } from "../../src/services/sweep/Clocks.ts"
import { Fleet } from "../../src/services/sweep/Fleet.ts"
import { anIncarnation } from "../support/Rows.ts"

const HOUR = 3_600_000
const BEGIN = 1_800_000_000_000

/** The wall clock and the monotonic one of a host; `noted`: the jumps that reached the ledger. */
const host = () => {
  const at = { wall: BEGIN, monotonicMs: 0, noted: Array<number>() }
  const clock = Layer.effect(
    Clock.Clock,
    Effect.map(Clock.Clock, (real) => ({
      ...real,
      currentTimeMillisUnsafe: () => at.wall,
      currentTimeMillis: Effect.sync(() => at.wall),
      monotonicTimeNanosUnsafe: () => BigInt(at.monotonicMs) * 1_000_000n,
    })),
  )
  const store = Layer.succeed(SessionStore, {
    reanchorIntervals: () => Effect.succeed(0),
    noteClockJump: (drift: number) =>
      Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => void at.noted.push(drift)),
      ),
  } satisfies Partial<SessionStore["Service"]> as unknown as SessionStore["Service"])
  return { at, layer: Clocks.layer.pipe(Layer.provideMerge(Layer.mergeAll(Fleet.layer, store, clock))) }
}

describe("the clock within a pass", () => {
  const sleeps = host()
  it.effect(
    "a host that slept since the pass began has aged nobody, and is noted once by all that look",
    () =>
      Effect.gen(function* () {
        const { at } = sleeps
        const clocks = yield* Clocks
        const fleet = yield* Fleet
        fleet.begin(anIncarnation(), yield* clocks.read)
        fleet.glance(at.wall)
        at.wall += 3 * HOUR
        at.monotonicMs += 5
        const seen = yield* Effect.all([clocks.now, clocks.now, clocks.now], { concurrency: "unbounded" })
        assert.deepStrictEqual(new Set(seen), new Set([at.wall]))
        assert.deepStrictEqual(at.noted, [3 * HOUR - 5])
        assert.deepStrictEqual(
          [...fleet.all()].map(({ life }) => life.ageOrigin),
          [at.wall],
        )
        assert.isNull(fleet.glancedAt(), "nothing can be dated by a glance from before")
        assert.deepStrictEqual(clocks.outage(), { from: BEGIN, to: at.wall, cause: "jumped" })
        yield* clocks.read
        assert.lengthOf(at.noted, 1, "the next pass finds nothing new")
      }).pipe(Effect.provide(sleeps.layer)),
  )

  const goesOn = host()
  it.effect("time that passes on both clocks is no jump, however long a pass takes", () =>
    Effect.gen(function* () {
      const { at } = goesOn
      const clocks = yield* Clocks
      yield* clocks.read
      at.wall += HOUR
      at.monotonicMs += HOUR
      assert.strictEqual(yield* clocks.now, at.wall)
      assert.deepStrictEqual(at.noted, [])
    }).pipe(Effect.provide(goesOn.layer)),
  )
})
