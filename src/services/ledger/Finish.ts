/**
 * The end of a message: its state, its run record, its event, the answer to its origin, and what its end means to its series: a
 * failure is counted, and the occurrence that was held back is released. A series that pauses itself ends others here too.
 */
import { Result } from "effect"
import { type EndingEvent, HELD_BACK, type Message, type TerminalState, wakes } from "../../domain/Message.ts"
import { amendedSeries, movedSeries, type Series } from "../../domain/Series.ts"
import { requestStop } from "./Admission.ts"
import { enqueueNotice } from "./Deliveries.ts"
import { recordRun } from "./History.ts"
import { inSession, type SessionUnit } from "./SessionUnit.ts"

/** Longest error or result text that the ledger keeps of a message. */
const MAX_TEXT = 4_000

const bounded = (text: string | null): string | null => (text === null ? null : text.slice(0, MAX_TEXT))

export const finishMessage = (
  unit: SessionUnit,
  message: Message,
  event: EndingEvent,
  ending: Pick<Message, "error" | "result"> & Partial<Pick<Message, "tries" | "suspect">>,
): Message => {
  const { now } = unit.context
  const ended = unit.moveMessage(message, event, {
    ...ending,
    error: bounded(ending.error),
    result: bounded(ending.result),
    endedAt: now,
  })
  if (wakes(message)) {
    const session = unit.session()
    recordRun(unit.tx, {
      sessionId: session.id,
      groupId: session.groupId,
      seriesId: message.seriesId,
      messageId: message.id,
      slot: message.slot,
      dueAt: message.firstDueAt === HELD_BACK ? (message.slot ?? now) : message.firstDueAt,
      wokenAt: message.wokenAt,
      claimedAt: message.claimedAt,
      endedAt: now,
      durationMs: message.claimedAt === null ? null : Math.max(0, now - message.claimedAt),
      attempts: message.attempts,
      outcome: ended.state,
      error: ended.error,
      result: ended.result,
      incarnation: message.admittedIn,
      logFile: null,
      count: 1,
    })
    unit.event("ended", message.id, endedText(ended))
  }
  if (message.seriesId !== null) onOccurrenceEnd(unit, ended, ended.state)
  if (ended.state === "failed") {
    enqueueNotice(unit, message, {
      text: `I could not finish this: ${ended.error ?? "unknown error"} (${message.attempts} attempts)`,
    })
  }
  return ended
}

const endedText = (message: Message): string => {
  const why = message.error === null ? "" : `: ${message.error}`
  const tries = message.tries === 0 ? "" : ` after ${message.tries} ${message.tries === 1 ? "try" : "tries"}`
  return `${message.state}${tries}${why}`
}

/** Open occurrences of one series that a transition deals with. */
const MAX_OPEN = 2_000

/** Runs of one series that its history keeps, beside what the retention by age takes; looked at every so many occurrences. */
const MAX_RUNS_KEPT = 10_000
const TRIM_EVERY = 100

const isHeldBack = (message: Message): boolean => message.state === "pending" && message.dueAt === HELD_BACK

export const openOf = (unit: SessionUnit, series: Pick<Series, "id">) => {
  const rows = unit.tx.openOccurrences(series.id, MAX_OPEN)
  const buffered = rows.filter(isHeldBack)
  return { rows, buffered, running: rows.length - buffered.length }
}

/** Ends an open message as cancelled. A container that works on it is stopped; its other claims pay nothing. */
export const cancelOpen = (unit: SessionUnit, message: Message, why: string | null): Message =>
  inSession(unit, message.sessionId, (own) => {
    const attempt = own.tx.openAttempt(message.id)
    if (attempt !== undefined) {
      const { now } = own.context
      // The reason for the stop is recorded before the attempt ends. The container may have died unnoticed; this end is still the host's.
      requestStop(own.tx, own.session().id, attempt.incarnation, "cancelled", why ?? "", own.context)
      own.tx.putAttempt({ ...attempt, endedAt: now, outcome: "host-stopped", costsTry: false, error: why })
    }
    const event = message.state === "claimed" ? "cancel-running" : "cancel"
    return finishMessage(own, message, event, { error: why, result: null })
  }) ?? message

/** Ends the occurrences that nobody has claimed yet, or those among them that are meant. */
export const cancelPending = (
  unit: SessionUnit,
  series: Series,
  why: string,
  isMeant: (message: Message) => boolean = () => true,
): void => {
  for (const { id } of openOf(unit, series).rows) {
    // The end of one may have changed the others.
    const message = unit.tx.message(id)
    if (message?.state === "pending" && isMeant(message)) cancelOpen(unit, message, why)
  }
}

/** What the end of an occurrence means to its series. */
const onOccurrenceEnd = (unit: SessionUnit, ended: Message, state: TerminalState): void => {
  const series = ended.seriesId === null ? undefined : unit.tx.series(ended.seriesId)
  if (series === undefined) return
  if (unit.session().id !== series.sessionId && unit.session().origin === "task") {
    unit.change({ expiresAt: unit.context.now + series.policy.isolatedRetentionMs })
  }
  const failuresInRow =
    state === "failed"
      ? series.failuresInRow + 1
      : state === "completed" || state === "skipped"
        ? 0
        : series.failuresInRow
  const { pauseAfterFailures } = series.policy
  const pauses =
    series.status === "active" && pauseAfterFailures !== null && failuresInRow >= pauseAfterFailures
  if (pauses) {
    const note = `paused itself after ${failuresInRow} failed runs in a row`
    const row = movedSeries(series, "pause", { failuresInRow, note, revision: series.revision + 1 })
    unit.tx.putSeries(Result.getOrThrow(row))
    unit.event("slot", ended.id, `task ${series.id} ${note}`)
    unit.revision()
    cancelPending(unit, series, note)
    return
  }
  if (series.fired % TRIM_EVERY === 0) unit.tx.trimRuns(series.id, MAX_RUNS_KEPT)
  if (failuresInRow !== series.failuresInRow) unit.tx.putSeries(amendedSeries(series, { failuresInRow }))
  releaseNext(unit, series)
}

/** Lets the oldest occurrence go that was held back, when none runs any more. */
const releaseNext = (unit: SessionUnit, series: Series): void => {
  const { buffered, running } = openOf(unit, series)
  const [next] = buffered.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0))
  if (running > 0 || next === undefined) return
  inSession(unit, next.sessionId, (own) =>
    own.updateMessage(next, { dueAt: own.context.now, firstDueAt: own.context.now }),
  )
}
