/**
 * The end of an incarnation: its death is confirmed and its files are read for the last time. One transaction ingests what is
 * left, closes every open attempt exactly once, and frees the session for the next life.
 */
import type { AttemptOutcome } from "../../domain/Attempt.ts"
import type { SessionId } from "../../domain/Ids.ts"
import { type EndReason, type Incarnation, isStuck, type ObservedExit } from "../../domain/Incarnation.ts"
import { wakeBackoffMs } from "../../domain/WakeAdmission.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import type { Reading } from "../Mailbox.ts"
import { closeAttempt, ingestReading } from "./Ingest.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

/** Ends it. Repeating changes nothing. Returns the record, or nothing where there is no such incarnation. */
export const endIncarnation = (
  tx: LedgerTx,
  sessionId: SessionId,
  number: number,
  exit: ObservedExit,
  reading: Reading,
  context: TransitionContext,
): Incarnation | undefined => {
  const found = tx.incarnation(sessionId, number)
  if (found === undefined || found.phase === "ended") return found
  const unit = openUnit(tx, sessionId, context)
  if (unit === undefined) return undefined
  const isHere = exit.manner !== "elsewhere"
  if (isHere) ingestReading(unit, found, reading)
  const incarnation = tx.incarnation(sessionId, number) ?? found
  const reason = endReason(incarnation, exit)
  const outcome = attemptOutcome(reason)
  const why = describeEnd(incarnation, reason, exit)
  closeOpenAttempts(unit, outcome, why)
  const waited = unadmit(unit, number)
  const { exitCode, oomKilled, signal } = exit
  const ended = putEnded(unit, { ...incarnation, reason, exitCode, signal, oomKilled, error: why })
  if (isHere) tx.putSessionState(sessionId, reading.sessionState)
  if (!incarnation.claimed && waited > 0 && countsAsFailedWake(reason)) {
    failWake(unit, `container ended without a claim: ${why}`)
  }
  unit.event("exit", null, `incarnation ${number} ${why}`)
  unit.close()
  return ended
}

/** The start failed before a container existed: no attempt was opened, no try is spent, the session backs off. */
export const failStart = (
  tx: LedgerTx,
  sessionId: SessionId,
  number: number,
  failure: { readonly reason: string; readonly message: string; readonly backOff: "session" | "breaker" },
  context: TransitionContext,
): Incarnation | undefined => {
  const incarnation = tx.incarnation(sessionId, number)
  if (incarnation === undefined || incarnation.phase === "ended") return incarnation
  const unit = openUnit(tx, sessionId, context)
  if (unit === undefined) return undefined
  const error = `${failure.reason}: ${failure.message}`
  closeOpenAttempts(unit, "host-stopped", error)
  unadmit(unit, number)
  const ended = putEnded(unit, { ...incarnation, reason: incarnation.stopReason ?? "start-failed", error })
  if (failure.backOff === "session") failWake(unit, error)
  unit.close()
  return ended
}

const putEnded = (unit: SessionUnit, incarnation: Incarnation): Incarnation => {
  const { now } = unit.context
  const durationMs = Math.max(0, now - incarnation.spawnedAt)
  const ended: Incarnation = { ...incarnation, phase: "ended", endedAt: now, durationMs }
  unit.tx.putIncarnation(ended)
  unit.change({ live: false })
  return ended
}

/** Counts one failed wake and sets the instant of the next; the same error again is not reported again. */
const failWake = (unit: SessionUnit, error: string): void => {
  const session = unit.session()
  const failures = session.wakeFailures + 1
  const backoff = wakeBackoffMs(failures, unit.policy)
  unit.change({
    wakeFailures: failures,
    wakeNotBefore: unit.context.now + backoff,
    wakeError: error,
  })
  if (session.wakeError !== error) unit.event("wake-failed", null, `${error}; next try in ${backoff} ms`)
}

const closeOpenAttempts = (unit: SessionUnit, outcome: AttemptOutcome, error: string): void => {
  for (const attempt of unit.tx.openAttempts(unit.session().id)) {
    const message = unit.tx.message(attempt.messageId)
    if (message === undefined) continue
    closeAttempt(unit, message, attempt, { outcome, retryable: true, error, result: null })
  }
}

/** Takes back what was shown and is still open. Returns how many of them could have been claimed. */
const unadmit = (unit: SessionUnit, number: number): number => {
  const shown = unit.tx.admittedOpen(unit.session().id, number, 100_000)
  for (const message of shown) unit.updateMessage(message, { admittedIn: 0 })
  return shown.filter((message) => message.trigger && message.kind !== "system").length
}

const endReason = (incarnation: Incarnation, exit: ObservedExit): EndReason => {
  if (exit.manner === "elsewhere") return "lost"
  if (incarnation.stopReason !== null) return incarnation.stopReason
  if (exit.manner === "gone" || exit.stoppedBy === "engine") return "lost"
  return exit.exitCode === 0 ? "own-exit" : "crash"
}

/** What the end means for a claim that was still open. An exit of its own with an open claim is a crash, whatever its code. */
const attemptOutcome = (reason: EndReason): AttemptOutcome => {
  if (isStuck(reason)) return "stuck"
  return reason === "crash" || reason === "own-exit" ? "crashed" : "host-stopped"
}

const countsAsFailedWake = (reason: EndReason): boolean => {
  const outcome = attemptOutcome(reason)
  return outcome === "crashed" || outcome === "stuck"
}

const describeEnd = (incarnation: Incarnation, reason: EndReason, exit: ObservedExit): string => {
  const how = howItEnded(exit) + (exit.stoppedBy === "engine" ? ", stopped by the engine" : "")
  return incarnation.stopReason === null
    ? how
    : `${how}, stopped by the host (${reason}): ${incarnation.error ?? ""}`
}

const memoryLimitOf = ({ memoryLimitBytes }: ObservedExit): string =>
  memoryLimitBytes === undefined ? "" : ` (its limit is ${Math.round(memoryLimitBytes / 1024 ** 2)} MiB)`

const howItEnded = (exit: ObservedExit): string => {
  if (exit.manner === "elsewhere") return "ran on another host, whose files are not here"
  if (exit.manner === "gone") return "was gone after a restart of the host"
  if (exit.oomKilled) return `was killed for want of memory${memoryLimitOf(exit)}`
  if (exit.signal !== null) return `was ended by ${exit.signal}`
  if (exit.exitCode === null) return "ended, nobody saw how"
  return `exited with code ${exit.exitCode}${exit.lastWords === undefined ? "" : `: ${exit.lastWords}`}`
}
