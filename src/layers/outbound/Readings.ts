/**
 * Slow readings continue in the background. A caller waits briefly; if the reading has not finished, it is reported as under way, and a
 * later call gets the result. So a hostile file delays the other sessions once, and only briefly.
 */
import { Effect, Exit, Fiber, type Scope } from "effect"
import { type Quarantined, type Reading, Unreadable } from "../../services/Mailbox.ts"

type ReadFailure = Unreadable | Quarantined

/** `late`: the reading began at an earlier call, so the file may have changed since. */
export interface Answer {
  readonly reading: Reading
  readonly came: "now" | "late"
}

export interface Readings {
  /** At most one reading per `key` runs at a time; further calls get its result. */
  readonly ask: (key: string, read: Effect.Effect<Reading, ReadFailure>) => Effect.Effect<Answer, ReadFailure>
  /** Cancels the reading of this key, and drops a result that nobody has asked for. */
  readonly forget: (key: string) => Effect.Effect<void>
}

/** Readings end with the scope. */
export const makeReadings = Effect.fnUntraced(function* (
  patienceMs: number,
): Effect.fn.Return<Readings, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const underWay = new Map<string, Fiber.Fiber<Reading, ReadFailure>>()

  const settle = (key: string, exit: Exit.Exit<Reading, ReadFailure>, came: Answer["came"]) => {
    underWay.delete(key)
    return Effect.map(exit, (reading): Answer => ({ reading, came }))
  }

  const later = Effect.fail(new Unreadable({ message: "outbound.db is still being read", underWay: true }))

  const begin = (key: string, read: Effect.Effect<Reading, ReadFailure>) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkIn(read, scope, { startImmediately: true })
      underWay.set(key, fiber)
      const exit = yield* Effect.timeoutOption(Fiber.await(fiber), patienceMs)
      return exit._tag === "Some" ? yield* settle(key, exit.value, "now") : yield* later
    })

  return {
    ask: (key, read) =>
      Effect.suspend(() => {
        const fiber = underWay.get(key)
        if (fiber === undefined) return begin(key, read)
        const exit = fiber.pollUnsafe()
        return exit === undefined ? later : settle(key, exit, "late")
      }),
    forget: (key) =>
      Effect.suspend(() => {
        const fiber = underWay.get(key)
        underWay.delete(key)
        return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
      }),
  }
})
