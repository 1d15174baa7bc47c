/**
 * Series in the ledger: made, changed, paused, resumed, cancelled, run now, and the transaction in which a slot comes due. Every
 * operation works inside the unit of the series' own session, which is also its authorisation.
 */
import { Result } from "effect"
import { parseExchangeTime } from "../../domain/ExchangeTime.ts"
import { MessageId, type SeriesId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message } from "../../domain/Message.ts"
import { nextSlot, parseSchedule } from "../../domain/Recurrence.ts"
import type { RunOutcome } from "../../domain/Run.ts"
import type { Schedule, Series } from "../../domain/Series.ts"
import { decideReschedule, decideResume, decideSlot, type SlotRange } from "../../domain/SlotDecision.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { insertDraft, plainDraft } from "./Accept.ts"
import { finishMessage } from "./Finish.ts"
import { Conflict, Invalid, NotFound, type Refusal } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

export type NewSeries = Pick<
  Series,
  | "id"
  | "name"
  | "prompt"
  | "script"
  | "schedule"
  | "priority"
  | "ttlMs"
  | "channelType"
  | "platformId"
  | "threadId"
>

/** The zone of a session's tasks: the group's, else the daemon's. */
const zoneOf = (unit: SessionUnit): string => unit.group?.zone ?? unit.context.zone

/**
 * A schedule from an agent's two fields: `recurrence` (any schedule form) or `processAfter` (an instant, once). Exchange text
 * without a zone is UTC.
 */
export const readSchedule = (
  unit: SessionUnit,
  fields: { readonly recurrence: string | null; readonly processAfter: string | null },
): Result.Result<Schedule, Invalid> => {
  const zone = zoneOf(unit)
  if (fields.recurrence !== null) {
    return Result.mapError(
      parseSchedule(fields.recurrence, { zone, now: unit.context.now }),
      (error) => new Invalid({ field: "recurrence", message: error.message }),
    )
  }
  if (fields.processAfter === null) return Result.succeed({ _tag: "Once", at: unit.context.now })
  const instant = parseExchangeTime(fields.processAfter)
  if (Result.isSuccess(instant)) return Result.succeed({ _tag: "Once", at: instant.success.at })
  return Result.fail(
    new Invalid({
      field: "processAfter",
      message: `'${fields.processAfter}' is not an instant; write it as 2026-12-01T09:00:00Z`,
    }),
  )
}

/** Makes a series. The same id again is a conflict: an update names what it changes. */
export const createSeries = (unit: SessionUnit, wanted: NewSeries): Result.Result<Series, Refusal> => {
  if (unit.tx.series(wanted.id) !== undefined) {
    return Result.fail(
      new Conflict({ message: `a task with the id '${wanted.id}' exists; update it, or choose another id` }),
    )
  }
  const session = unit.session()
  const { now } = unit.context
  const first = wanted.schedule._tag === "Once" ? wanted.schedule.at : nextSlot(wanted.schedule, now - 1)
  const series: Series = {
    ...wanted,
    groupId: session.groupId,
    sessionId: session.id,
    seq: unit.nextSeq(),
    zone: wanted.schedule._tag === "Cron" ? wanted.schedule.zone : zoneOf(unit),
    overlap: "skip",
    catchUp: "latest",
    status: "active",
    note: null,
    revision: 1,
    nextSlot: first,
    lastSlot: null,
    createdAt: now,
  }
  return Result.succeed(putSeries(unit, series))
}

/** Writes a series and lets the projection know. */
const putSeries = (unit: SessionUnit, series: Series): Series => {
  unit.tx.putSeries(series)
  unit.revision()
  return series
}

const ownSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound> => {
  const series = unit.tx.series(id)
  return series === undefined || series.sessionId !== unit.session().id
    ? Result.fail(NotFound.of("task", id))
    : Result.succeed(series)
}

const openSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series) =>
    series.status === "cancelled" || series.status === "completed"
      ? Result.fail(new Conflict({ message: `task '${id}' is ${series.status}; make a new one` }))
      : Result.succeed(series),
  )

export interface SeriesChange {
  readonly prompt?: string
  readonly script?: string | null
  readonly recurrence?: string | null
  readonly processAfter?: string | null
  /** The revision that the writer saw; another one means that somebody else wrote since. */
  readonly revision?: number
}

/** Changes a series. A new schedule moves the next slot to its grid, and the pending occurrence goes with the old one. */
export const updateSeries = (
  unit: SessionUnit,
  id: SeriesId,
  change: SeriesChange,
): Result.Result<Series, Refusal> => {
  const found = openSeries(unit, id)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const series = found.success
  if (change.revision !== undefined && change.revision !== series.revision) {
    return Result.fail(
      new Conflict({
        message: `task '${id}' is at revision ${series.revision}, not ${change.revision}: read it again and repeat`,
      }),
    )
  }
  const reschedules =
    (change.recurrence !== undefined && change.recurrence !== null) ||
    (change.processAfter !== undefined && change.processAfter !== null)
  let schedule = series.schedule
  if (reschedules) {
    const read = readSchedule(unit, {
      recurrence: change.recurrence ?? null,
      processAfter: change.processAfter ?? null,
    })
    if (Result.isFailure(read)) return Result.fail(read.failure)
    schedule = read.success
    supersedePending(unit, series, "the task's schedule changed")
  }
  return Result.succeed(
    putSeries(unit, {
      ...series,
      prompt: change.prompt ?? series.prompt,
      script: change.script === undefined ? series.script : change.script,
      schedule,
      zone: schedule._tag === "Cron" ? schedule.zone : series.zone,
      nextSlot: reschedules
        ? schedule._tag === "Once"
          ? schedule.at
          : decideReschedule(series, schedule, unit.context.now)
        : series.nextSlot,
      revision: series.revision + 1,
    }),
  )
}

/** Pauses: no slot fires until it is resumed. A pending occurrence is cancelled; a claimed one finishes. */
export const pauseSeries = (
  unit: SessionUnit,
  id: SeriesId,
  note: string | null,
): Result.Result<Series, NotFound | Conflict> =>
  Result.map(openSeries(unit, id), (series) => {
    if (series.status === "paused") return series
    supersedePending(unit, series, "the task was paused")
    return putSeries(unit, { ...series, status: "paused", note, revision: series.revision + 1 })
  })

/** Resumes at the first slot after now; those of the pause are recorded, not caught up. */
export const resumeSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.map(openSeries(unit, id), (series) => {
    if (series.status !== "paused") return series
    const resumed = decideResume(series, unit.context.now)
    if (resumed.paused !== null) recordSlots(unit, series, resumed.paused, "paused", "the task was paused")
    return putSeries(unit, {
      ...series,
      status: resumed.nextSlot === null ? "completed" : "active",
      note: null,
      nextSlot: resumed.nextSlot,
      revision: series.revision + 1,
    })
  })

/** Cancels for good. A pending occurrence is cancelled with it; a claimed one finishes. */
export const cancelSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.map(ownSeries(unit, id), (series) => {
    if (series.status === "cancelled") return series
    supersedePending(unit, series, "the task was cancelled")
    return putSeries(unit, { ...series, status: "cancelled", nextSlot: null, revision: series.revision + 1 })
  })

const supersedePending = (unit: SessionUnit, series: Series, why: string): void => {
  for (const message of unit.tx.openOccurrences(series.id, 1_000)) {
    if (message.state === "pending") {
      finishMessage(unit, message, { state: "cancelled", error: why, result: null })
    }
  }
}

/** Runs it once, beside its schedule: an occurrence without a slot. */
export const runNow = (
  unit: SessionUnit,
  id: SeriesId,
  messageId: MessageId,
): Result.Result<Message, Refusal> =>
  Result.map(ownSeries(unit, id), (series) => insertOccurrence(unit, series, messageId, null, "run-now"))

const insertOccurrence = (
  unit: SessionUnit,
  series: Series,
  id: MessageId,
  slot: EpochMs | null,
  origin: string,
): Message => {
  const { now } = unit.context
  return insertDraft(
    unit,
    plainDraft({
      id,
      kind: "task",
      content: JSON.stringify({
        prompt: series.prompt,
        script: series.script,
        taskId: series.id,
        slot: slot === null ? null : slot,
      }),
      dueAt: slot ?? now,
      priority: series.priority,
      expiresAt: series.ttlMs === null ? null : (slot ?? now) + series.ttlMs,
      channelType: series.channelType,
      platformId: series.platformId,
      threadId: series.threadId,
      seriesId: series.id,
      slot,
      slotOrigin: origin,
    }),
  )
}

/**
 * Deals with every series whose slot has come, each in its session's unit: the occurrence or the reason why not, and the next
 * slot. The unique (series, slot, origin) makes a repeat harmless. Returns how many it dealt with; call again at the limit.
 */
export const fireSlots = (tx: LedgerTx, limit: number, context: TransitionContext): number => {
  const due = tx.dueSeries(context.now, limit)
  for (const series of due) {
    const unit = openUnit(tx, series.sessionId, context)
    if (unit === undefined) {
      tx.putSeries({ ...series, status: "cancelled", nextSlot: null, note: "its session is gone" })
      continue
    }
    fireSlot(unit, series)
    unit.close()
  }
  return due.length
}

const fireSlot = (unit: SessionUnit, series: Series): void => {
  const open = unit.tx.openOccurrences(series.id, 2).length
  const decision = decideSlot(series, unit.context.now, { openOccurrences: open })
  if (decision._tag === "NotDue") return
  if (decision.missed !== null) {
    recordSlots(unit, series, decision.missed, "missed", "the daemon was not running")
  }
  if (decision._tag === "SkipOverlap") {
    const range = { first: decision.slot, last: decision.slot, count: 1 }
    recordSlots(unit, series, range, "overlap", "the occurrence before had not ended")
  } else if (unit.tx.occurrence(series.id, decision.slot, "schedule") === undefined) {
    const id = MessageId.make(`occ-${series.id}-${decision.slot}`.slice(0, 128))
    insertOccurrence(unit, series, id, decision.slot, "schedule")
    unit.event("slot", id, `task ${series.id}`)
  }
  putSeries(unit, {
    ...series,
    lastSlot: decision.slot,
    nextSlot: decision.nextSlot,
    status: decision.nextSlot === null ? "completed" : series.status,
  })
}

/** A slot that did not run has a row too; equal ones in a row are one row with a count. */
const recordSlots = (
  unit: SessionUnit,
  series: Series,
  range: SlotRange,
  outcome: RunOutcome,
  why: string,
): void => {
  const last = unit.tx.lastRun(series.id)
  if (last !== undefined && last.outcome === outcome && last.messageId === null && last.error === why) {
    unit.tx.putRun({ ...last, slot: range.last, endedAt: unit.context.now, count: last.count + range.count })
    return
  }
  unit.tx.putRun({
    position: 0,
    sessionId: series.sessionId,
    groupId: series.groupId,
    seriesId: series.id,
    messageId: null,
    slot: range.last,
    dueAt: range.first,
    wokenAt: null,
    claimedAt: null,
    endedAt: unit.context.now,
    durationMs: null,
    attempts: 0,
    outcome,
    error: why,
    result: null,
    incarnation: 0,
    logFile: null,
    count: range.count,
  })
}
