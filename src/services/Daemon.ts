/**
 * The daemon's loops, run side by side in the foreground: the end of one is the end of all, so that a defect can't leave a process
 * that stays up and does nothing.
 */
import { Clock, Effect, Stream } from "effect"
import { ContainerRuntime, DOORBELL } from "./ContainerRuntime.ts"
import { crashable } from "./CrashPoint.ts"
import { deliveryLoop } from "./Delivering.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import { Mailbox } from "./Mailbox.ts"
import type { Nudge } from "./Nudge.ts"
import { SessionStore } from "./SessionStore.ts"
import { Sweep } from "./Sweep.ts"

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
}

/** Runs until interrupted. On interruption every container is stopped and every incarnation ended first. */
export const daemon = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  yield* sweep.recover
  return yield* Effect.raceFirst(
    Effect.raceFirst(sweepLoop(options), eventLoop(options)),
    Effect.raceFirst(deliveryLoop(options.deliver, options.look), retentionLoop),
  ).pipe(
    Effect.onExit(() =>
      sweep.shutdown.pipe(
        Effect.catchCause((cause) => Effect.logError("shutdown was not clean", cause)),
        Effect.uninterruptible,
      ),
    ),
  )
})

/** A ledger that writes nothing until it is opened again: only another process can do that, and whoever supervises this one starts it. */
const neverAgain = (error: LedgerError): boolean => error.reason === "Uncertain" || error.reason === "Closed"

const sweepLoop = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  while (true) {
    const swept = yield* sweep.pass.pipe(
      Effect.catchTag("LedgerError", (error) => {
        if (neverAgain(error)) return Effect.die(error)
        return Effect.as(Effect.logError(`the sweep waits: the ledger says ${error.message}`), {
          nextLookAt: null,
          live: 1,
          news: "nothing" as const,
        })
      }),
    )
    if (swept.news === "news") yield* options.deliver.ring
    const now = yield* Clock.currentTimeMillis
    const atMost = swept.live > 0 ? options.pollIntervalMs : options.sweepIntervalMs
    yield* options.look.wait(now, swept.nextLookAt, atMost)
  }
})

const eventLoop = Effect.fnUntraced(function* (options: DaemonOptions) {
  const sweep = yield* Sweep
  const runtime = yield* ContainerRuntime
  yield* Stream.runForEach(runtime.events, (event) => {
    if (event._tag === "Line") return event.line === DOORBELL ? options.look.ring : Effect.void
    return sweep.onEvent(event).pipe(
      Effect.catchTag("LedgerError", (error) => Effect.logError(`event: ${error.message}`)),
      Effect.andThen(options.look.ring),
    )
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
    yield* store.retain(RETENTION_BATCH).pipe(
      Effect.andThen(removeExpired),
      Effect.catchTag("LedgerError", (error) => Effect.logError(`retention: ${error.message}`)),
    )
    yield* Effect.sleep(RETENTION_EVERY_MS)
  }
})
