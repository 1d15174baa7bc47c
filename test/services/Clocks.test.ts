/** A clock that is set, or a host that sleeps, while a pass goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { ContainerRuntime } from "../../src/services/ContainerRuntime.ts"
import type { LedgerReader } from "../../src/services/LedgerDriver.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Clocks } from "../../src/services/sweep/Clocks.ts"
import { Fleet } from "../../src/services/sweep/Fleet.ts"
import { anIncarnation } from "../support/Rows.ts"

const HOUR = 3_600_000
const BEGIN = 1_800_000_000_000

/** The wall clock and the monotonic one of a host; `noted`: the jumps that reached the ledger. */
const host = (mark?: { readonly bootId: string; readonly monotonicMs: number }) => {
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
  const marks = new Map(mark && [["clock.mark", JSON.stringify({ ...mark, wall: BEGIN - 600_000 })]])
  const store = Layer.succeed(SessionStore, {
    read: (question) =>
      Effect.sync(() => question({ meta: (key: string) => marks.get(key) } as LedgerReader)),
    markClock: (now) => Effect.sync(() => void marks.set("clock.mark", JSON.stringify(now))),
    reanchorIntervals: () => Effect.succeed(0),
    noteClockJump: (drift: number) =>
      Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => void at.noted.push(drift)),
      ),
  } satisfies Partial<SessionStore["Service"]> as unknown as SessionStore["Service"])
  const runtime = Layer.succeed(ContainerRuntime, {
    bootId: "this boot",
  } as ContainerRuntime["Service"])
  const layer = Clocks.layer.pipe(Layer.provideMerge(Layer.mergeAll(Fleet.layer, store, clock, runtime)))
  return { at, layer, marks }
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

  // Ten minutes ago by the wall clock: the monotonic one says whether they passed.
  for (const [what, mark, ageOrigin] of [
    ["ten minutes passed", { bootId: "this boot", monotonicMs: -600_000 }, 0],
    ["the clock was set while no daemon ran", { bootId: "this boot", monotonicMs: -1_000 }, BEGIN],
    ["the host was booted meanwhile", { bootId: "another boot", monotonicMs: -1_000 }, 0],
  ] as const) {
    const restarted = host(mark)
    it.effect(
      `a daemon that starts where ${what} counts ages from ${ageOrigin === 0 ? "before" : "now"}`,
      () =>
        Effect.gen(function* () {
          const clocks = yield* Clocks
          const fleet = yield* Fleet
          const { life } = fleet.adopt(anIncarnation(), null, BEGIN)
          assert.strictEqual(life.ageOrigin, 0)
          yield* clocks.read
          assert.deepStrictEqual(
            [...fleet.all()].map((member) => member.life.ageOrigin),
            [ageOrigin],
          )
          assert.deepStrictEqual(restarted.at.noted, [], "intervals stay as they are")
          assert.deepInclude(JSON.parse(restarted.marks.get("clock.mark") ?? ""), {
            bootId: "this boot",
            wall: BEGIN,
          })
        }).pipe(Effect.provide(restarted.layer)),
    )
  }

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
