/** Notices that the host's clock was set or that the host slept: the wall clock and the monotonic one went different ways. */
import { Clock, Context, Effect, Layer } from "effect"
import type { EpochMs } from "../../domain/Instant.ts"
import { Fleet } from "./Fleet.ts"

/** Wall and monotonic clock may differ by this between two passes before ages start again. */
const CLOCK_JUMP_MS = 10_000

export class Clocks extends Context.Service<
  Clocks,
  {
    /** Reads the clock, once for a pass. */
    readonly read: Effect.Effect<EpochMs>
  }
>()("lamplighter/services/sweep/Clocks") {
  static readonly layer = Layer.effect(
    Clocks,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const fleet = yield* Fleet
  let last: { readonly wall: EpochMs; readonly monotonicMs: number } | null = null
  return Clocks.of({
    read: Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const wall = yield* Clock.currentTimeMillis
      const monotonicMs = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
      const before = last
      last = { wall, monotonicMs }
      if (before === null) return wall
      const drift = wall - before.wall - (monotonicMs - before.monotonicMs)
      if (Math.abs(drift) > CLOCK_JUMP_MS) {
        yield* Effect.logWarning(`the clock jumped by ${drift} ms: ages start again from now`)
        fleet.setClock(wall, "jumped")
      } else if (wall < before.wall) fleet.setClock(wall, "back")
      return wall
    }),
  })
})
