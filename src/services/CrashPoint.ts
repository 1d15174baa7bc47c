/**
 * Crash points: every effect on the outside world passes a named one before and after, so that a simulation or a test can
 * stop the daemon exactly there. In production the reference is its default and costs one look.
 */
import { Context, Effect } from "effect"

/** The effects that have crash points. */
export type CrashableEffect =
  | `ledger.${string}`
  | `mailbox.${string}`
  | `runtime.${string}`
  | `channel.${string}`
  | `workspace.${string}`

export type CrashPointName = `${CrashableEffect}.${"before" | "after"}`

/** Stops nobody, and is known: an effect that has only this is run without its crash points, since every accept passes here. */
const nowhere = (): Effect.Effect<void> => Effect.void

/** Called at each crash point. May never return (a test kills the process) or interrupt the caller (a simulation). */
export const CrashPoint = Context.Reference<(name: CrashPointName) => Effect.Effect<void>>(
  "lamplighter/services/CrashPoint",
  { defaultValue: () => nowhere },
)

/** Wraps an effect on the outside world with its two crash points. */
export const crashable =
  (name: CrashableEffect) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const hit = fiber.getRef(CrashPoint)
      if (hit === nowhere) return effect
      return hit(`${name}.before`).pipe(
        Effect.andThen(effect),
        Effect.tap(() => hit(`${name}.after`)),
      )
    })
