/**
 * Notices that the host's clock was set or that the host slept: the wall clock and the monotonic one went different ways. Ages start
 * again then, and intervals are set back with the clock.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { CLOCK_JUMP_MS } from "../../domain/ClockJump.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { ON_TIME_MS, type Outage } from "../../domain/SlotDecision.ts"
import type { LedgerError } from "../LedgerDriver.ts"
import { SessionStore } from "../SessionStore.ts"
import { Fleet } from "./Fleet.ts"

/** Series of one transaction, and transactions of one pass, that set intervals back. */
const BATCH = 200
const MAX_BATCHES = 50

export class Clocks extends Context.Service<
  Clocks,
  {
    /** Reads the clock, once for a pass. */
    readonly read: Effect.Effect<EpochMs, LedgerError>
    /** The last time in which nobody looked. */
    readonly outage: () => Outage | null
  }
>()("lamplighter/services/sweep/Clocks") {
  static readonly layer = Layer.effect(
    Clocks,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  let outage: Outage | null = null
  /** A start goes on with what the daemon before left. */
  let owesIntervals = true
  const setIntervalsBack = Effect.gen(function* () {
    for (let round = 0; owesIntervals && round < MAX_BATCHES; round++)
      owesIntervals = (yield* store.reanchorIntervals(BATCH)) >= BATCH
  })
  let last: { readonly wall: EpochMs; readonly monotonicMs: number } | null = null
  return Clocks.of({
    read: Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const wall = yield* Clock.currentTimeMillis
      const monotonicMs = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
      const before = last
      if (before === null) {
        outage = { from: 0, to: wall, cause: "down" }
        last = { wall, monotonicMs }
        yield* setIntervalsBack
        return wall
      }
      const drift = wall - before.wall - (monotonicMs - before.monotonicMs)
      if (Math.abs(drift) > CLOCK_JUMP_MS) {
        yield* Effect.logWarning(`the clock jumped by ${drift} ms: ages start again from now`)
        fleet.setClock(wall, "jumped")
        // `last` has not moved yet: a jump that can't be noted now is seen again.
        yield* store.noteClockJump(drift)
        owesIntervals = true
        if (drift > 0) outage = { from: before.wall, to: wall, cause: "jumped" }
      } else if (wall < before.wall) fleet.setClock(wall, "back")
      else if (wall - before.wall > ON_TIME_MS) outage = { from: before.wall, to: wall, cause: "stalled" }
      last = { wall, monotonicMs }
      yield* setIntervalsBack
      return wall
    }),
    outage: () => outage,
  })
})
