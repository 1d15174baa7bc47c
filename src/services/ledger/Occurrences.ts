/**
 * Occurrences of a series in the ledger: made in the series' own session or, isolated, in a fresh one; held back until the one before
 * ends; cancelled while they run. The end of one arms nothing: it counts failures, and releases what was held back.
 */
import { MAX_EPOCH_MS, type EpochMs } from "../../domain/Instant.ts"
import { MessageId, SessionId } from "../../domain/Ids.ts"
import type { Message, Priority, TerminalState } from "../../domain/Message.ts"
import type { Series } from "../../domain/Series.ts"
import type { LedgerReader } from "../LedgerDriver.ts"
import { insertDraft, plainDraft, resolveSession } from "./Accept.ts"
import { requestStop } from "./Admission.ts"
import { runKey } from "./FindSeries.ts"
import { finishMessage } from "./Finish.ts"
import { inSession, type SessionUnit } from "./SessionUnit.ts"

/** Open occurrences of one series that a transition deals with. */
const MAX_OPEN = 2_000

/** Runs of one series that its history keeps, beside what the retention by age takes; looked at every so many occurrences. */
const MAX_RUNS_KEPT = 10_000
const TRIM_EVERY = 100

/** When an occurrence is due that waits for the one before it: never, until it is released. */
const HELD_BACK: EpochMs = MAX_EPOCH_MS

const isHeldBack = (message: Message): boolean => message.state === "pending" && message.dueAt === HELD_BACK

export const openOf = (unit: SessionUnit, series: Pick<Series, "id">) => {
  const rows = unit.tx.openOccurrences(series.id, MAX_OPEN)
  const buffered = rows.filter(isHeldBack)
  return { rows, buffered, running: rows.length - buffered.length }
}

export interface NewOccurrence {
  readonly id: MessageId
  /** Null: a run beside the schedule. */
  readonly slot: EpochMs | null
  /** `schedule`, `run-now`, or a backfill's id. */
  readonly origin: string
  readonly dueAt: EpochMs | "held-back"
  readonly priority: Priority
}

export const insertOccurrence = (unit: SessionUnit, series: Series, wanted: NewOccurrence): Message => {
  const { now } = unit.context
  const dueAt = wanted.dueAt === "held-back" ? HELD_BACK : wanted.dueAt
  const draft = plainDraft({
    id: wanted.id,
    kind: "task",
    content: JSON.stringify({
      prompt: series.prompt,
      script: series.script,
      taskId: series.id,
      slot: wanted.slot,
    }),
    dueAt,
    priority: wanted.priority,
    expiresAt: series.ttlMs === null ? null : Math.max(wanted.slot ?? now, now) + series.ttlMs,
    channelType: series.channelType,
    platformId: series.platformId,
    threadId: series.threadId,
    seriesId: series.id,
    slot: wanted.slot,
    slotOrigin: wanted.origin,
  })
  if (series.policy.context === "group") return insertDraft(unit, draft)
  const home = unit.session()
  const fresh = isolatedSession(unit, series, wanted.id)
  const inserted =
    fresh === undefined
      ? undefined
      : inSession(unit, fresh, (other) =>
          insertDraft(other, {
            ...draft,
            channelType: draft.channelType ?? home.channelType,
            platformId: draft.channelType === null ? home.platformId : draft.platformId,
            threadId: draft.channelType === null ? home.threadId : draft.threadId,
          }),
        )
  return inserted ?? insertDraft(unit, draft)
}

/** A session of its own, which answers where the task belongs. */
const isolatedSession = (unit: SessionUnit, series: Series, occurrence: MessageId): SessionId | undefined => {
  const home = unit.session()
  const id = SessionId.make(`${home.id.slice(0, 40)}-i${unit.nextSeq()}`)
  const made = resolveSession(
    unit.tx,
    {
      id,
      groupId: series.groupId,
      key: runKey(occurrence),
      origin: "task",
      address: { channelType: home.channelType, platformId: home.platformId, threadId: home.threadId },
      expiresAt: null,
    },
    unit.context,
  )
  return made._tag === "Success" ? made.success.id : undefined
}

/** Ends an open occurrence as cancelled. A container that works on it is stopped; its other claims pay nothing. */
export const cancelOccurrence = (unit: SessionUnit, message: Message, why: string): void => {
  inSession(unit, message.sessionId, (own) => {
    const attempt = own.tx.openAttempt(message.id)
    if (attempt !== undefined) {
      const { now } = own.context
      own.tx.putAttempt({ ...attempt, endedAt: now, outcome: "host-stopped", costsTry: false, error: why })
      requestStop(own.tx, own.session().id, attempt.incarnation, "cancelled", why, own.context)
    }
    finishMessage(own, message, { state: "cancelled", error: why, result: null })
  })
}

/** Ends the occurrences that nobody has claimed yet: all of them, or those that the schedule gave. */
export const cancelPending = (
  unit: SessionUnit,
  series: Series,
  why: string,
  which: "all" | "schedule" = "all",
): void => {
  for (const { id } of openOf(unit, series).rows) {
    // The end of one may have changed the others.
    const message = unit.tx.message(id)
    if (message?.state !== "pending") continue
    if (which === "all" || message.slotOrigin === which) cancelOccurrence(unit, message, why)
  }
}

/** An occurrence that is under work for longer than its series allows. */
export interface Overdue {
  readonly message: Message
  readonly ranMs: number
  readonly limitMs: number
}

/** `ageOrigin`: no age starts before it; 0 unless the clock jumped. */
export const overdueOf = (
  reader: LedgerReader,
  sessionId: SessionId,
  now: EpochMs,
  ageOrigin: EpochMs,
): ReadonlyArray<Overdue> =>
  reader.openAttempts(sessionId).flatMap((attempt) => {
    const message = reader.message(attempt.messageId)
    if (message === undefined || message.seriesId === null) return []
    const limitMs = reader.series(message.seriesId)?.policy.startToCloseMs ?? null
    const claimedAt = message.claimedAt ?? attempt.claimedAt
    // A claim in the future was made before the clock was set back: it is as old as that.
    const setBackAt = ageOrigin === 0 ? now : ageOrigin
    const ranMs = now - (claimedAt > now ? setBackAt : Math.max(claimedAt, ageOrigin))
    return limitMs === null || ranMs <= limitMs ? [] : [{ message, ranMs, limitMs }]
  })

/** Cancels what a live container has worked on for longer than its series allows. Returns how many. */
export const cancelOverdue = (unit: SessionUnit, ageOrigin: EpochMs): number => {
  const overdue = overdueOf(unit.tx, unit.session().id, unit.context.now, ageOrigin)
  for (const { limitMs, message, ranMs } of overdue) {
    cancelOccurrence(unit, message, `it ran for ${ranMs} ms; its task allows ${limitMs} ms (startToCloseMs)`)
  }
  return overdue.length
}

/** What the end of an occurrence means to its series. */
export const onOccurrenceEnd = (unit: SessionUnit, ended: Message, state: TerminalState): void => {
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
    unit.tx.putSeries({ ...series, failuresInRow, status: "paused", note, revision: series.revision + 1 })
    unit.event("slot", ended.id, `task ${series.id} ${note}`)
    unit.revision()
    cancelPending(unit, series, note)
    return
  }
  if (series.fired % TRIM_EVERY === 0) unit.tx.trimRuns(series.id, MAX_RUNS_KEPT)
  if (failuresInRow !== series.failuresInRow) unit.tx.putSeries({ ...series, failuresInRow })
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
