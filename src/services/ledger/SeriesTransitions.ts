/**
 * Series in the ledger: made, changed, paused, resumed, cancelled, run now, and the transaction in which a slot comes due. Every
 * operation works inside the unit of the series' own session, which is also its authorisation.
 */
import { Result } from "effect"
import { parseExchangeTime } from "../../domain/ExchangeTime.ts"
import { MessageId, type SeriesId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message, Priority } from "../../domain/Message.ts"
import { parseSchedule } from "../../domain/Recurrence.ts"
import type { RunOutcome } from "../../domain/Run.ts"
import type { Schedule, Series } from "../../domain/Series.ts"
import {
  type CatchUpPolicy,
  defaultSeriesPolicy,
  type OverlapPolicy,
  type SeriesBounds,
  type SeriesPolicy,
  unbounded,
} from "../../domain/SeriesPolicy.ts"
import { nextSlotOf, previewOf } from "../../domain/SeriesSlots.ts"
import {
  behind,
  decideReschedule,
  decideResume,
  decideSlots,
  OPEN_LIMIT,
  priorityOfSlot,
  type SlotFate,
  type SlotRange,
} from "../../domain/SlotDecision.ts"
import { describeProblem } from "../../domain/TextProblem.ts"
import { parseZone } from "../../domain/Zone.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { findSeries } from "./FindSeries.ts"
import { recordRun } from "./History.ts"
import { cancelOpen, cancelPending, openOf } from "./Finish.ts"
import { insertOccurrence } from "./Occurrences.ts"
import { Conflict, Full, Invalid, NotFound, type Refusal } from "./Refusals.ts"
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
> &
  SeriesSettings & {
    /** The zone in which it is shown, unless its schedule has one. Absent: its group's, else the daemon's. */
    readonly zone?: string | undefined
    /** The instant of its first slot, on its grid or not. Absent or null: the first one of its grid. */
    readonly firstAt?: EpochMs | null | undefined
  }

/** What a task may say beyond its schedule; what is absent keeps its default, or at an update what it was. */
export interface SeriesSettings {
  readonly overlap?: OverlapPolicy | undefined
  readonly catchUp?: CatchUpPolicy | undefined
  readonly bounds?: Partial<SeriesBounds> | undefined
  readonly policy?: Partial<SeriesPolicy> | undefined
}

/** The zone of a session's tasks: the group's, else the daemon's. */
const zoneOf = (unit: SessionUnit): string => unit.group?.zone ?? unit.context.zone

/** A schedule, and the instant of its first slot where that was asked for: it need not lie on the grid. */
export interface Planned {
  readonly schedule: Schedule
  readonly firstAt: EpochMs | null
}

/**
 * What an agent's two fields mean: `recurrence` (any schedule form), `processAfter` (an instant, of the first run), or both. Exchange
 * text without a zone is UTC. With neither it is now, once.
 */
export const readPlan = (
  unit: SessionUnit,
  fields: { readonly recurrence: string | null; readonly processAfter: string | null },
  zone: string = zoneOf(unit),
): Result.Result<Planned, Invalid> => {
  const { now } = unit.context
  const { processAfter, recurrence } = fields
  const firstAt = processAfter === null ? Result.succeed(null) : readInstant("processAfter", processAfter)
  return Result.flatMap(firstAt, (at) => {
    if (recurrence === null)
      return Result.succeed({ schedule: { _tag: "Once", at: at ?? now }, firstAt: null })
    const read = parseSchedule(recurrence, { zone, now: at ?? now })
    return Result.isFailure(read)
      ? Result.fail(new Invalid({ field: "recurrence", message: read.failure.message }))
      : Result.succeed({ schedule: read.success, firstAt: read.success._tag === "Once" ? null : at })
  })
}

/** A zone that was named now; absent when none was. */
const readZone = (text: string | undefined): Result.Result<string | undefined, Invalid> => {
  if (text === undefined) return Result.succeed(undefined)
  return Result.mapError(
    parseZone(text),
    (problem) => new Invalid({ field: "zone", message: describeProblem(text, problem) }),
  )
}

export const readInstant = (field: string, text: string): Result.Result<EpochMs, Invalid> => {
  const parsed = parseExchangeTime(text)
  return Result.isSuccess(parsed)
    ? Result.succeed(parsed.success.at)
    : Result.fail(
        new Invalid({ field, message: `'${text}' is not an instant; write it as 2026-12-01T09:00:00Z` }),
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
  const { bounds, catchUp, firstAt, overlap, policy, zone: named, ...plain } = wanted
  const zone = readZone(named)
  if (Result.isFailure(zone)) return Result.fail(zone.failure)
  const slotted = {
    schedule: wanted.schedule,
    zone: wanted.schedule._tag === "Cron" ? wanted.schedule.zone : (zone.success ?? zoneOf(unit)),
    bounds: { ...unbounded, ...bounds },
  }
  const first = askedOr(firstAt, now) ?? firstSlot(slotted, now)
  if (first === null) return Result.fail(neverFires())
  const series: Series = {
    ...plain,
    ...slotted,
    groupId: session.groupId,
    sessionId: session.id,
    seq: unit.nextSeq(),
    overlap: overlap ?? "skip",
    catchUp: catchUp ?? "latest",
    policy: { ...defaultSeriesPolicy, ...policy },
    status: "active",
    note: null,
    revision: 1,
    nextSlot: first,
    lastSlot: null,
    fired: 0,
    failuresInRow: 0,
    createdAt: now,
  }
  return Result.succeed(putSeries(unit, series))
}

/** An instant that has passed still fires, once; of a grid the first slot from now on. */
const firstSlot = (slotted: Pick<Series, "schedule" | "zone" | "bounds">, now: EpochMs): EpochMs | null =>
  slotted.schedule._tag === "Once"
    ? nextSlotOf(slotted, slotted.schedule.at - 1)
    : nextSlotOf(slotted, now - 1)

/** An instant that has passed when it is asked for is now. */
const askedOr = (firstAt: EpochMs | null | undefined, now: EpochMs): EpochMs | null =>
  firstAt === null || firstAt === undefined ? null : Math.max(firstAt, now)

const neverFires = (): Invalid =>
  new Invalid({
    field: "schedule",
    message:
      "within its start, its end and its excluded dates this schedule has no slot left; loosen one of them",
  })

/** Writes a series and lets the projection know. */
const putSeries = (unit: SessionUnit, series: Series): Series => {
  unit.tx.putSeries(series)
  unit.revision()
  return series
}

const ownSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound> => {
  const series = findSeries(unit.tx, id)
  return series === undefined || series.sessionId !== unit.session().id
    ? Result.fail(NotFound.of("task", id))
    : Result.succeed(series)
}

/** Whatever its state, unless it was cancelled: that is for good. A completed one can be run once more. */
const keptSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series) =>
    series.status === "cancelled"
      ? Result.fail(new Conflict({ message: `task '${id}' is cancelled; make a new one` }))
      : Result.succeed(series),
  )

const openSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series) =>
    series.status === "cancelled" || series.status === "completed"
      ? Result.fail(new Conflict({ message: `task '${id}' is ${series.status}; make a new one` }))
      : Result.succeed(series),
  )

export interface SeriesChange extends SeriesSettings {
  readonly prompt?: string
  readonly script?: string | null
  readonly recurrence?: string | null
  readonly processAfter?: string | null
  /** A cron schedule is read in it from now on. Absent: the zone stays, whatever else changes. */
  readonly zone?: string
  readonly ttlMs?: number | null
  readonly priority?: Priority
  /** The revision that the writer saw; another one means that somebody else wrote since. */
  readonly revision?: number
}

/** What the schedule becomes. An instant alone moves the next run of a recurring task and leaves its grid as it is. */
const planOf = (
  unit: SessionUnit,
  series: Series,
  { processAfter = null, recurrence }: SeriesChange,
  zone: string,
): Result.Result<Planned, Invalid> => {
  const kept = series.schedule._tag === "Cron" ? { ...series.schedule, zone } : series.schedule
  if (typeof recurrence === "string") return readPlan(unit, { recurrence, processAfter }, zone)
  if (processAfter === null) return Result.succeed({ schedule: kept, firstAt: null })
  return recurrence === null || kept._tag === "Once"
    ? readPlan(unit, { recurrence: null, processAfter }, zone)
    : Result.map(readInstant("processAfter", processAfter), (firstAt) => ({ schedule: kept, firstAt }))
}

/** Deals with the slots of the old grid that have passed and that nobody has looked at: they are known, whatever comes after them. */
const settlePassed = (unit: SessionUnit, series: Series): Series => {
  if (series.status === "paused") {
    const { nextSlot, paused } = decideResume(series, unit.context.now)
    return paused === null ? series : putSeries(unit, { ...recordPause(unit, series, paused), nextSlot })
  }
  fireSlot(unit, series)
  return unit.tx.series(series.id) ?? series
}

/** Records the slots of a pause; none of them can come again. */
const recordPause = (unit: SessionUnit, series: Series, paused: SlotRange): Series => {
  recordSlots(unit, series, paused, "paused", "the task was paused")
  return { ...series, lastSlot: Math.max(paused.last, series.lastSlot ?? paused.last) }
}

/** Changes a series. A new schedule moves the next slot to its grid, and the pending occurrence goes with the old one. */
export const updateSeries = (
  unit: SessionUnit,
  id: SeriesId,
  change: SeriesChange,
): Result.Result<Series, Refusal> => {
  const found = openSeries(unit, id)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  if (change.revision !== undefined && change.revision !== found.success.revision) {
    return Result.fail(
      new Conflict({
        message: `task '${id}' is at revision ${found.success.revision}, not ${change.revision}: read it again and repeat`,
      }),
    )
  }
  const reschedules =
    change.bounds !== undefined ||
    change.zone !== undefined ||
    (change.recurrence !== undefined && change.recurrence !== null) ||
    (change.processAfter !== undefined && change.processAfter !== null)
  const named = readZone(change.zone)
  if (Result.isFailure(named)) return Result.fail(named.failure)
  // A stored name is not judged again: the list of names may have become stricter since.
  const zone = named.success ?? found.success.zone
  const planned = planOf(unit, found.success, change, zone)
  if (Result.isFailure(planned)) return Result.fail(planned.failure)
  const { firstAt, schedule } = planned.success
  const series = reschedules ? settlePassed(unit, found.success) : found.success
  const bounds = { ...series.bounds, ...change.bounds }
  const slotted = { schedule, zone, bounds }
  const next = !reschedules
    ? series.nextSlot
    : schedule._tag === "Once" && schedule !== series.schedule
      ? firstSlot(slotted, unit.context.now)
      : (askedOr(firstAt, unit.context.now) ?? decideReschedule(series, slotted, unit.context.now))
  if (reschedules && next === null) return Result.fail(neverFires())
  if (reschedules) cancelPending(unit, series, "the task's schedule changed", "schedule")
  return Result.succeed(
    putSeries(unit, {
      ...(unit.tx.series(series.id) ?? series),
      ...slotted,
      overlap: change.overlap ?? series.overlap,
      catchUp: change.catchUp ?? series.catchUp,
      policy: { ...series.policy, ...change.policy },
      prompt: change.prompt ?? series.prompt,
      priority: change.priority ?? series.priority,
      ttlMs: change.ttlMs === undefined ? series.ttlMs : change.ttlMs,
      script: change.script === undefined ? series.script : change.script,
      nextSlot: next,
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
    cancelPending(unit, series, "the task was paused")
    return putSeries(unit, { ...series, status: "paused", note, revision: series.revision + 1 })
  })

/**
 * Resumes at the first slot after now; those of the pause are recorded. On request they are left as passed instead, and the catch-up
 * policy deals with them as if the daemon had been down.
 */
export const resumeSeries = (
  unit: SessionUnit,
  id: SeriesId,
  pausedSlots: "record" | "catch-up" = "record",
): Result.Result<Series, NotFound | Conflict> =>
  Result.map(openSeries(unit, id), (series) => {
    if (series.status !== "paused") return series
    const active = { ...series, note: null, failuresInRow: 0, revision: series.revision + 1 }
    if (pausedSlots === "catch-up") {
      const first = series.nextSlot ?? nextSlotOf(series, series.lastSlot ?? series.createdAt)
      return putSeries(unit, { ...active, status: first === null ? "completed" : "active", nextSlot: first })
    }
    const resumed = decideResume(series, unit.context.now)
    return putSeries(unit, {
      ...active,
      lastSlot:
        resumed.paused === null ? series.lastSlot : recordPause(unit, series, resumed.paused).lastSlot,
      status: resumed.nextSlot === null ? "completed" : "active",
      nextSlot: resumed.nextSlot,
    })
  })

/** Cancels for good. A pending occurrence is cancelled with it; a claimed one finishes. */
export const cancelSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.map(ownSeries(unit, id), (series) => {
    if (series.status === "cancelled") return series
    cancelPending(unit, series, "the task was cancelled")
    return putSeries(unit, { ...series, status: "cancelled", nextSlot: null, revision: series.revision + 1 })
  })

/** Runs beside the schedule are bounded as those of it are. */
const refuseCrowd = (unit: SessionUnit, series: Series, wanted: number): Full | undefined => {
  const open = openOf(unit, series).rows.length
  return open + wanted <= OPEN_LIMIT
    ? undefined
    : new Full({
        message: `task '${series.id}' has ${open} runs that have not ended, and may have ${OPEN_LIMIT}; wait for them, or cancel some`,
      })
}

/** Runs it once, beside its schedule: an occurrence without a slot. */
export const runNow = (
  unit: SessionUnit,
  id: SeriesId,
  messageId: MessageId,
): Result.Result<Message, Refusal> =>
  Result.flatMap(keptSeries(unit, id), (series) => {
    const crowd = refuseCrowd(unit, series, 1)
    if (crowd !== undefined) return Result.fail(crowd)
    return Result.succeed(
      insertOccurrence(unit, series, {
        id: messageId,
        slot: null,
        origin: "run-now",
        dueAt: unit.context.now,
        priority: series.priority,
      }),
    )
  })

/** Slots of one backfill. */
const MAX_BACKFILL = 1_000

export interface Backfill {
  /** Repeating a backfill under the same name makes nothing twice. */
  readonly name: string
  readonly from: EpochMs
  readonly to: EpochMs
}

/** Runs the slots from one instant to another, both included, beside the schedule, oldest first. Returns the occurrences it made. */
export const backfillSeries = (
  unit: SessionUnit,
  id: SeriesId,
  { from, name, to }: Backfill,
): Result.Result<ReadonlyArray<Message>, Refusal> =>
  Result.flatMap(keptSeries(unit, id), (series): Result.Result<ReadonlyArray<Message>, Refusal> => {
    const slots = previewOf(series, from - 1, MAX_BACKFILL + 1).filter((slot) => slot <= to)
    if (slots.length > MAX_BACKFILL) {
      return Result.fail(
        new Invalid({
          field: "to",
          message: `from ${from} to ${to} task '${id}' has more than ${MAX_BACKFILL} slots; backfill a shorter range`,
        }),
      )
    }
    const origin = `backfill:${name}`
    const missing = slots.filter((slot) => unit.tx.occurrence(series.id, slot, origin) === undefined)
    const crowd = refuseCrowd(unit, series, missing.length)
    if (crowd !== undefined) return Result.fail(crowd)
    return Result.succeed(
      missing.map((slot, index) =>
        insertOccurrence(unit, series, {
          id: occurrenceId(`${series.id}-${name}-${slot}`),
          slot,
          origin,
          dueAt: unit.context.now + index * series.policy.staggerMs,
          priority: behind(series.priority),
        }),
      ),
    )
  })

const MAX_ID = 128

/** Ids of long task ids are cut at the front, where they differ least from each other. */
const occurrenceId = (text: string): MessageId => MessageId.make(`occ-${text.slice(-(MAX_ID - 4))}`)

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
  const { buffered, running } = openOf(unit, series)
  const decision = decideSlots(series, unit.context.now, { running, buffered: buffered.length })
  if (decision._tag === "NotDue") return
  if (decision.missed !== null) {
    recordSlots(unit, series, decision.missed, "missed", "the daemon was not running")
  }
  for (const fate of decision.fates) meetFate(unit, series, fate)
  const fired = decision.fates.filter(({ _tag }) => _tag !== "Skip").length
  const current = unit.tx.series(series.id) ?? series
  putSeries(unit, {
    ...current,
    lastSlot: decision.lastSlot,
    nextSlot: decision.nextSlot,
    fired: series.fired + fired,
    status: decision.nextSlot === null && current.status === "active" ? "completed" : current.status,
  })
}

const meetFate = (unit: SessionUnit, series: Series, fate: SlotFate): void => {
  const { slot } = fate
  if (fate._tag === "Skip") {
    recordSlots(
      unit,
      series,
      { first: slot, last: slot, count: 1 },
      "overlap",
      "the occurrence before had not ended",
    )
    return
  }
  if (unit.tx.occurrence(series.id, slot, "schedule") !== undefined) return
  if (fate._tag === "Replace") {
    for (const open of openOf(unit, series).rows) {
      cancelOpen(unit, open, "the next occurrence took its place (overlap cancel-other)")
    }
  }
  const id = occurrenceId(`${series.id}-${slot}`)
  insertOccurrence(unit, series, {
    id,
    slot,
    origin: "schedule",
    dueAt: fate._tag === "Buffer" ? "held-back" : fate.dueAt,
    priority: priorityOfSlot(series, slot, unit.context.now),
  })
  unit.event("slot", id, `task ${series.id}${fate._tag === "Buffer" ? ", waits for the one before" : ""}`)
}

/** A slot that did not run has a row too; equal ones in a row are one row with a count. */
const recordSlots = (
  unit: SessionUnit,
  series: Series,
  range: SlotRange,
  outcome: RunOutcome,
  why: string,
): void =>
  recordRun(unit.tx, {
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
