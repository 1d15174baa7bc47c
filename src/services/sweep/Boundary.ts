/**
 * The one place that catches defects. A session that breaks the code is set aside and the others go on. The ledger's trouble is the whole
 * host's: no session is set aside for it, and whoever asked tries again.
 */
import { type Cause, Effect } from "effect"
import type { SessionId } from "../../domain/Ids.ts"
import { LedgerError } from "../LedgerDriver.ts"
import { Quarantined } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Fleet } from "./Fleet.ts"
import { Signals } from "./Signals.ts"

/** `fallback` is the answer for a session that was set aside. */
export const atBoundary = <A, E extends { readonly _tag: string }, R>(
  sessionId: SessionId,
  effect: Effect.Effect<A, E, R>,
  fallback: A,
): Effect.Effect<A, LedgerError, R | SessionStore | Fleet | Signals> =>
  Effect.catchCause(effect, (cause) => Effect.as(setAside(sessionId, cause), fallback))

const setAside = Effect.fnUntraced(function* <E>(sessionId: SessionId, cause: Cause.Cause<E>) {
  if (cause.reasons.some((part) => part._tag === "Interrupt")) return yield* Effect.interrupt
  for (const part of cause.reasons) {
    if (part._tag === "Fail" && part.error instanceof LedgerError) return yield* part.error
  }
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const signals = yield* Signals
  const reason = cause.reasons.map(reasonOf).join("; ")
  const session = yield* store.read((reader) => reader.session(sessionId))
  // Log once; it will fail every pass until the container is gone.
  const isNew = session?.status !== "quarantined"
  if (isNew) {
    yield* Effect.logError(`session ${sessionId} is set aside: ${reason}`, cause)
    yield* store
      .setStatus(sessionId, "quarantined", reason)
      .pipe(Effect.catchTag("NotFound", () => Effect.void))
  }
  const member = fleet.of(sessionId)
  const isToStop = member?.life._tag === "Running" || member?.life._tag === "Starting"
  if (member !== undefined && (isNew || isToStop)) yield* signals.stopLive(member.pair, "quarantine", reason)
})

const reasonOf = <E>(part: Cause.Reason<E>): string => {
  if (part._tag === "Interrupt") return "interrupted"
  const error: unknown = part._tag === "Fail" ? part.error : part.defect
  if (error instanceof Quarantined) return error.reason
  return error instanceof Error ? error.message : String(error)
}
