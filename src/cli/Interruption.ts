/**
 * What comes from outside while a command runs. An interruption (Ctrl-C, SIGTERM) is the end of one that runs until then; any other was
 * cut short. When nobody reads the output any more, `lamplighter events | head` ends quietly, because its reader has seen enough; a
 * daemon whose terminal went away goes on, because its work is elsewhere.
 */
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

let whenClosed: "end" | "go-on" = "end"

const watch = (stream: NodeJS.WriteStream): void => {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error
    if (whenClosed === "end") process.exit(0)
  })
}

/** Once, at the program's start. */
export const watchOutput = (): void => {
  watch(process.stdout)
  watch(process.stderr)
}

/** For the daemon. */
export const goOnWithoutReader = (): void => {
  whenClosed = "go-on"
}
