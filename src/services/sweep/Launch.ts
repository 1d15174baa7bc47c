/** Starts one container beside the pass, so that a slow engine delays only its own session, and finds out what became of a start. */
import { Effect } from "effect"
import type { SessionId } from "../../domain/Ids.ts"
import type { WakeCause } from "../ledger/Admission.ts"
import type { Pair } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { wake } from "../Waker.ts"
import { atBoundary } from "./Boundary.ts"
import { Errands } from "./Errands.ts"
import { Fleet } from "./Fleet.ts"
import { listedAtLast } from "./Reconcile.ts"
import type { Signals } from "./Signals.ts"
import { Starts } from "./Starts.ts"

/** Only for a session that was put under way when its room was taken. While its last start is still ending, a later pass begins it. */
export const launch = Effect.fnUntraced(function* (sessionId: SessionId, cause: WakeCause) {
  const starts = yield* Starts
  const errands = yield* Errands
  const needs = yield* Effect.context<Effect.Services<ReturnType<typeof attempt>> | Signals>()
  const begun = yield* errands.run(
    `start ${sessionId}`,
    atBoundary(sessionId, attempt(sessionId, cause), undefined).pipe(
      // The ledger's trouble was told where it happened; the session is still due.
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => starts.underWay.delete(sessionId))),
      Effect.provideContext(needs),
    ),
  )
  if (!begun) starts.underWay.delete(sessionId)
})

const attempt = Effect.fnUntraced(function* (sessionId: SessionId, cause: WakeCause) {
  const starts = yield* Starts
  const woken = yield* wake(sessionId, cause)
  switch (woken._tag) {
    case "NotNeeded":
      return
    case "Started":
      return yield* starts.runtimeUp
    case "Ambiguous":
      return yield* settleStart(woken.pair, woken.message)
    case "Failed": {
      if (woken.reason !== "RuntimeDown") {
        return yield* Effect.logWarning(
          `session ${sessionId} could not start (${woken.reason}): ${woken.message}`,
        )
      }
      yield* starts.runtimeDown(woken.message)
      return yield* Effect.logWarning(`the runtime is down: ${woken.message}`)
    }
  }
})

/**
 * Only a listing can tell what became of a start. What it does not show did not start: the session tries again after its backoff.
 * A runtime that does not even list is down for everybody, and is asked again until it does.
 */
const settleStart = Effect.fnUntraced(function* (pair: Pair, message: string) {
  const fleet = yield* Fleet
  const starts = yield* Starts
  const store = yield* SessionStore
  // The listing adopts it like one that an earlier daemon started.
  fleet.leave(pair)
  const unanswered = yield* listedAtLast(() => starts.runtimeDown(message))
  if (unanswered === null) return
  yield* starts.runtimeUp
  if (fleet.of(pair.sessionId)?.pair.incarnation === pair.incarnation) return
  yield* store.failStart(pair.sessionId, pair.incarnation, {
    reason: "NotStarted",
    message,
    backOff: unanswered > 0 ? "breaker" : "session",
  })
})
