/** What an interruption (Ctrl-C, SIGTERM) means: to a command that runs until it is interrupted, its end; to any other, that it was cut short. */
import { Effect } from "effect"

const CUT_SHORT = 130
let meaning: "end" | "cut-short" = "cut-short"

/** For a command, or the part of one, that goes on until somebody stops it. */
export const untilInterrupted = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    meaning = "end"
    return self
  })

export const interruptedExitCode = (): number => (meaning === "end" ? 0 : CUT_SHORT)
