/** A bell that wakes a loop early. Ringing while it rings already is one ring; nothing is queued, nothing is lost. */
import { Effect, Queue } from "effect"
import type { EpochMs } from "../domain/Instant.ts"

export interface Nudge {
  readonly ring: Effect.Effect<void>
  /** Returns at the ring, or at the instant, or when `atMostMs` have passed. */
  readonly wait: (now: EpochMs, until: EpochMs | null, atMostMs: number) => Effect.Effect<void>
}

export const makeNudge: Effect.Effect<Nudge> = Effect.gen(function* () {
  const queue = yield* Queue.sliding<void>(1)
  return {
    ring: Effect.asVoid(Queue.offer(queue, undefined)),
    wait: (now, until, atMostMs) => {
      const ms = until === null ? atMostMs : Math.min(atMostMs, Math.max(0, until - now))
      return Effect.raceFirst(Effect.asVoid(Queue.take(queue)), Effect.sleep(ms))
    },
  }
})
