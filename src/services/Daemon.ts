/**
 * The daemon's loops, run side by side in the foreground: the end of one is the end of all, so that a defect can't leave a process
 * that stays up and does nothing.
 */
import { Clock, Effect, Stream } from "effect"
import { ContainerRuntime, DOORBELL } from "./ContainerRuntime.ts"
import { crashable } from "./CrashPoint.ts"
import { deliveryLoop } from "./Delivering.ts"
import { Mailbox } from "./Mailbox.ts"
import type { Nudge } from "./Nudge.ts"
import { SessionStore } from "./SessionStore.ts"
import { Sweep } from "./Sweep.ts"
import type { Swept } from "./sweep/Pass.ts"

const RETENTION_EVERY_MS = 3_600_000
const RETENTION_BATCH = 1_000

export interface DaemonOptions {
  /** A full pass at least this often: the safety net. */
  readonly sweepIntervalMs: number
  /** How often running containers are looked at without a doorbell. */
  readonly pollIntervalMs: number
  /** Rung by whoever changed the ledger: a message was accepted, a task was changed. */
  readonly look: Nudge
  readonly deliver: Nudge
  /** Run where the shutdown failed, so that the process can end with a failure: what still ran may be running yet. */
  readonly onUncleanShutdown?: Effect.Effect<void>
}

/** Runs until interrupted. On interruption every container is stopped and every incarnation ended first. */
export const daemon = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  const store = yield* SessionStore
  yield* sweep.recover
  return yield* Effect.raceAllFirst([
    sweepLoop(options),
    eventLoop(options),
    deliveryLoop(options.deliver, options.look),
    retentionLoop,
    sweep.broken,
    // Whoever supervises this process starts another one.
    Effect.orDie(store.lost),
  ]).pipe(
    Effect.onExit(() =>
      sweep.shutdown.pipe(
        Effect.catchCause((cause) =>
          Effect.andThen(
            Effect.logError("the shutdown was not clean", cause),
            options.onUncleanShutdown ?? Effect.void,
          ),
        ),
        Effect.uninterruptible,
      ),
    ),
  )
})

/**
 * While the ledger can't be written to, the sweep goes on with what needs no writing, and tries again at every poll. What was ingested before
 * the ledger failed is news.
 */
const HELD_UP: Swept = { nextLookAt: null, live: 1, news: "news" }

/**
 * Glances at all files at every poll; between two polls only at those of sessions that something was heard of. One timer covers all sessions:
 * it ends at the plan's next instant, at the next poll, or, while nothing runs, at the safety net. The bell (`look`) ends it earlier.
 */
const sweepLoop = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  let polledAt = -Infinity
  while (true) {
    const began = yield* Clock.currentTimeMillis
    const isPoll = Math.abs(began - polledAt) >= options.pollIntervalMs
    if (isPoll) polledAt = began
    const swept = yield* Effect.catchTag(isPoll ? sweep.pass : sweep.attend, "LedgerError", () =>
      Effect.succeed(HELD_UP),
    )
    if (swept.news === "news") yield* options.deliver.ring
    const now = yield* Clock.currentTimeMillis
    const untilPoll = Math.max(0, options.pollIntervalMs - Math.abs(now - polledAt))
    yield* options.look.wait(now, swept.nextLookAt, swept.live > 0 ? untilPoll : options.sweepIntervalMs)
  }
})

const eventLoop = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  const runtime = yield* ContainerRuntime
  yield* Stream.runForEach(runtime.events, (event) => {
    if (event._tag === "Line" && event.line !== DOORBELL) return Effect.void
    // The ledger's trouble was told where it happened; the list finds what an event could not tell.
    return sweep.onEvent(event).pipe(Effect.ignore, Effect.andThen(options.look.ring))
  })
  return yield* Effect.die(new Error("the runtime's events ended"))
})

/** Sessions of isolated runs whose time is over, and then their folders: a folder that a crash leaves holds nothing that counts. */
const removeExpired = Effect.gen(function* () {
  const store = yield* SessionStore
  const mailbox = yield* Mailbox
  for (const session of yield* store.removeExpired(RETENTION_BATCH)) {
    yield* mailbox
      .removeBelow({ groupId: session.groupId, sessionId: session.id }, session.incarnation + 1)
      .pipe(
        crashable("mailbox.removeBelow"),
        Effect.catchTag("MailboxError", (error) => Effect.logWarning(`retention: ${error.message}`)),
      )
  }
})

const retentionLoop = Effect.gen(function* () {
  const store = yield* SessionStore
  while (true) {
    yield* store.retain(RETENTION_BATCH).pipe(Effect.andThen(removeExpired), Effect.ignore)
    yield* Effect.sleep(RETENTION_EVERY_MS)
  }
})
