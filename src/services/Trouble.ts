/**
 * Something that fails again and again is a state and not an event: one line when it begins, one when it is over, with the count.
 */
import { Clock, Effect } from "effect"
import type { EpochMs } from "../domain/Instant.ts"

/** What fails at present. `message`: the latest. */
export interface Failing {
  readonly what: string
  readonly since: EpochMs
  readonly count: number
  readonly message: string
}

export interface Trouble {
  readonly failed: (message: string) => Effect.Effect<void>
  readonly worked: Effect.Effect<void>
  readonly current: () => Failing | null
}

/** `what` begins the lines: "the ledger", "the list of containers". */
export const makeTrouble = (what: string): Trouble => {
  let failing: Failing | null = null
  return {
    failed: (message) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const begins = failing === null
        failing = { what, since: failing?.since ?? now, count: (failing?.count ?? 0) + 1, message }
        return begins ? Effect.logError(`${what} fails: ${message}`) : Effect.void
      }),
    worked: Effect.suspend(() => {
      if (failing === null) return Effect.void
      const { count, since } = failing
      failing = null
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.logWarning(`${what} works again: ${count} failures in ${Math.max(0, now - since)} ms`),
      )
    }),
    current: () => failing,
  }
}
