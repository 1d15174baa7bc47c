/** What an interruption (Ctrl-C, SIGTERM) means: to a command that runs until it is interrupted, its end; to any other, that it was cut short. */
import { Effect } from "effect"

const CUT_SHORT = 130
let meaning: "end" | "cut-short" | "failure" = "cut-short"

/** For a command, or the part of one, that goes on until somebody stops it. */
export const untilInterrupted = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    meaning = "end"
    return self
  })

/** It was to end, and could not do that well. */
export const endedBadly = Effect.sync(() => {
  meaning = "failure"
})

export const interruptedExitCode = (): number =>
  meaning === "end" ? 0 : meaning === "failure" ? 1 : CUT_SHORT
