/**
 * Series in the ledger: made, changed, paused, resumed, cancelled. Every operation works inside the unit of the series' own session,
 * which is also its authorisation. What comes due is in `Slots.ts`, runs beside the schedule in `SeriesRuns.ts`.
 */
import { Result } from "effect"
import type { SeriesId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message, Priority } from "../../domain/Message.ts"
import * as Tasks from "../../domain/Series.ts"
import type { Schedule, Series } from "../../domain/Series.ts"
import { isSlot, isWithinBounds, nextSlotOf, type Slotted } from "../../domain/SeriesSlots.ts"
import { decideReschedule, decideResume, type SlotRange } from "../../domain/SlotDecision.ts"
import { findOwnSeries } from "./FindSeries.ts"
import { cancelPending } from "./Finish.ts"
import { conflict, type Conflict, Invalid, type NotFound, type Refusal } from "./Refusals.ts"
import { type Planned, type PlanText, readInstant, readPlan, readZone } from "./SeriesPlan.ts"
import { amendSeries, moveSeries, ownSeries, putSeries, recordSlots } from "./SeriesRows.ts"
import { fireSlot } from "./Slots.ts"
import type { SessionUnit } from "./SessionUnit.ts"

export type NewSeries = Pick<
  Series,
  "id" | "name" | "prompt" | "script" | "priority" | "ttlMs" | "channelType" | "platformId" | "threadId"
> &
  SeriesSettings & {
    /** What its agent calls it, where its agent made it. */
    readonly taskId?: SeriesId
    /** Texts are read at the instant of the transaction. */
    readonly schedule: Schedule | PlanText
    /** The zone in which it is shown, unless its schedule has one. Absent: its group's, else the daemon's. */
    readonly zone?: string | null | undefined
  }

/** What a task may say beyond its schedule; what is absent keeps its default, or at an update what it was. */
export interface SeriesSettings {
  readonly overlap?: Tasks.OverlapPolicy | undefined
  readonly catchUp?: Tasks.CatchUpPolicy | undefined
  readonly bounds?: Partial<Tasks.SeriesBounds> | undefined
  readonly policy?: Partial<Tasks.SeriesPolicy> | undefined
}

/** Makes a series. The same id again is a conflict: an update names what it changes. */
export const createSeries = (unit: SessionUnit, wanted: NewSeries): Result.Result<Series, Refusal> => {
  const session = unit.session()
  const named = wanted.taskId ?? wanted.id
  if (unit.tx.series(wanted.id) !== undefined || findOwnSeries(unit.tx, named, session.id) !== undefined) {
    return conflict(`a task with the id '${named}' exists; update it, or choose another id`)
  }
  const { now } = unit.context
  const { catchUp, overlap, policy, zone: zoneText, ...plain } = wanted
  const zone = Result.map(readZone(zoneText), (own) => own ?? unit.group?.zone ?? unit.context.zone)
  if (Result.isFailure(zone)) return Result.fail(zone.failure)
  const bounds = { ...Tasks.unbounded, ...wanted.bounds }
  const planned: Result.Result<Planned, Invalid> =
    "_tag" in wanted.schedule
      ? Result.succeed({ schedule: wanted.schedule, firstAt: null })
      : readPlan(unit, wanted.schedule, zone.success, bounds.startAt)
  if (Result.isFailure(planned)) return Result.fail(planned.failure)
  const { firstAt, schedule } = planned.success
  const slotted = {
    schedule,
    zone: schedule._tag === "Cron" ? schedule.zone : zone.success,
    bounds,
  }
  const first = firstAt === null ? firstSlot(slotted, now) : Math.max(firstAt, now)
  if (first === null) return Result.fail(neverFires())
  const series = Tasks.bornSeries({
    ...plain,
    taskId: wanted.taskId ?? null,
    ...slotted,
    groupId: session.groupId,
    sessionId: session.id,
    seq: unit.nextSeq(),
    overlap: overlap ?? "skip",
    catchUp: catchUp ?? "latest",
    policy: { ...Tasks.defaultSeriesPolicy, ...policy },
    note: null,
    revision: 1,
    grid: 0,
    nextSlot: first,
    lastSlot: null,
    fired: 0,
    failuresInRow: 0,
    createdAt: now,
  })
  return Result.succeed(putSeries(unit, series))
}

/** An instant that has passed still fires, once; of a grid the first slot from now on. */
const firstSlot = (slotted: Slotted, now: EpochMs): EpochMs | null =>
  nextSlotOf(slotted, (slotted.schedule._tag === "Once" ? slotted.schedule.at : now) - 1)

const neverFires = (): Invalid =>
  new Invalid({
    field: "schedule",
    message:
      "within its start, its end and its excluded dates this schedule has no slot left; loosen one of them",
  })

const openSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series) =>
    series.status === "cancelled" || series.status === "completed"
      ? conflict(`task '${id}' is ${series.status}; make a new one`)
      : Result.succeed(series),
  )

export interface SeriesChange extends SeriesSettings {
  readonly prompt?: string
  readonly script?: string | null
  /** Null: the next run of the schedule is its last one. */
  readonly recurrence?: string | null
  readonly processAfter?: string | null
  /** A cron schedule is read in it from now on. Absent: the zone stays, whatever else changes. */
  readonly zone?: string
  readonly ttlMs?: number | null
  readonly priority?: Priority
  /** The revision that the writer saw; another one means that somebody else wrote since. */
  readonly revision?: number
}

/** The schedule that is asked for. An instant alone moves the next run of a recurring task and leaves its grid as it is. */
const planOf = (
  unit: SessionUnit,
  series: Series,
  { processAfter = null, recurrence }: SeriesChange,
  zone: string,
): Result.Result<Planned, Invalid> => {
  const kept = series.schedule._tag === "Cron" ? { ...series.schedule, zone } : series.schedule
  if (typeof recurrence === "string")
    return Result.map(readPlan(unit, { recurrence, processAfter }, zone, null), (planned) =>
      isSameGrid(kept, planned) ? { schedule: kept, firstAt: null } : planned,
    )
  if (processAfter !== null) {
    return recurrence === null || kept._tag === "Once"
      ? readPlan(unit, { recurrence: null, processAfter }, zone, null)
      : Result.map(readInstant("processAfter", processAfter), (at) => ({
          schedule: kept,
          firstAt: at === series.nextSlot ? null : at,
        }))
  }
  return recurrence === null && kept._tag !== "Once" && series.nextSlot !== null
    ? Result.succeed({ schedule: { _tag: "Once", at: series.nextSlot }, firstAt: null })
    : Result.succeed({ schedule: kept, firstAt: null })
}

/** An interval is the same whenever it is asked for again, unless another instant is named with it. */
const isSameGrid = (kept: Schedule, { firstAt, schedule }: Planned): boolean => {
  if (kept._tag !== "Interval" || schedule._tag !== "Interval")
    return firstAt === null && isEqual(kept, schedule)
  return kept.everyMs === schedule.everyMs && (firstAt === null || firstAt === kept.anchor)
}

/** Of plain data with its fields in one order, as rows are. */
const isEqual = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

/**
 * Changes a series. What is said again changes nothing. Another grid moves the next slot to it; an occurrence that nobody has claimed
 * stays when its slot is in the new grid too, and goes with the old one otherwise.
 */
export const updateSeries = (
  unit: SessionUnit,
  id: SeriesId,
  change: SeriesChange,
): Result.Result<Series, Refusal> => {
  const found = openSeries(unit, id)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const series = found.success
  if (change.revision !== undefined && change.revision !== series.revision) {
    return conflict(
      `task '${id}' is at revision ${series.revision}, not ${change.revision}: read it again and repeat`,
    )
  }
  const zone = Result.map(readZone(change.zone), (named) => named ?? series.zone)
  if (Result.isFailure(zone)) return Result.fail(zone.failure)
  const bounded = { zone: zone.success, bounds: { ...series.bounds, ...change.bounds } }
  const planned = planOf(unit, series, change, zone.success)
  if (Result.isFailure(planned)) return Result.fail(planned.failure)
  const { firstAt, schedule } = planned.success
  const settings = {
    overlap: change.overlap ?? series.overlap,
    catchUp: change.catchUp ?? series.catchUp,
    policy: { ...series.policy, ...change.policy },
    prompt: change.prompt ?? series.prompt,
    priority: change.priority ?? series.priority,
    ttlMs: change.ttlMs === undefined ? series.ttlMs : change.ttlMs,
    script: change.script === undefined ? series.script : change.script,
  }
  const slotted = { ...bounded, schedule }
  const moves = firstAt !== null || !isPartOf(series, slotted)
  if (!moves && isPartOf(series, settings)) return Result.succeed(series)
  const regridded = moves ? regrid(unit, series, slotted, firstAt) : Result.succeed({})
  return Result.map(regridded, (patch) =>
    amendSeries(unit, unit.tx.series(series.id) ?? series, {
      ...settings,
      ...patch,
      revision: series.revision + 1,
    }),
  )
}

/** Whether the series has all these values already. */
const isPartOf = (series: Series, values: Partial<Series>): boolean =>
  isEqual({ ...series, ...values }, series)

/** Gives a series its new grid: what has passed of the old one is settled, what waits of it is kept or cancelled, and the next slot moves. */
const regrid = (
  unit: SessionUnit,
  before: Series,
  slotted: Slotted,
  firstAt: EpochMs | null,
): Result.Result<Tasks.SeriesPatch, Invalid> => {
  const { now } = unit.context
  const keepsGrid = isEqual(before.schedule, slotted.schedule)
  const series = settlePassed(unit, before)
  const askedNext = series.nextSlot !== null && !isSlot(series, series.nextSlot) ? series.nextSlot : null
  const nextSlot =
    firstAt !== null
      ? Math.max(firstAt, now)
      : slotted.schedule._tag === "Once" && !keepsGrid
        ? firstSlot(slotted, now)
        : // A first run that was asked for lies off the grid, and stays asked for.
          keepsGrid && askedNext !== null && isWithinBounds(slotted, askedNext)
          ? askedNext
          : decideReschedule(series, slotted, now)
  if (nextSlot === null) return Result.fail(neverFires())
  // Another interval begins now, and first fires when it is over: no slot of before is one of its own.
  const remains = (slot: EpochMs): boolean =>
    keepsGrid ? isWithinBounds(slotted, slot) : slotted.schedule._tag !== "Interval" && isSlot(slotted, slot)
  cancelPending(
    unit,
    series,
    "the task's schedule changed",
    ({ slot, slotOrigin }: Message) => Tasks.isScheduled(slotOrigin) && slot !== null && !remains(slot),
  )
  return Result.succeed({ ...slotted, nextSlot })
}

/** Deals with the slots of the old grid that have passed and that nobody has looked at: they are known, whatever comes after them. */
const settlePassed = (unit: SessionUnit, series: Series): Series => {
  if (series.status === "paused") {
    const { nextSlot, paused } = decideResume(series, unit.context.now)
    return paused === null
      ? series
      : amendSeries(unit, series, { lastSlot: recordPause(unit, series, paused), nextSlot })
  }
  fireSlot(unit, series)
  return unit.tx.series(series.id) ?? series
}

/** Records the slots of a pause; none of them can come again. Returns the last slot that was dealt with. */
const recordPause = (unit: SessionUnit, series: Series, paused: SlotRange | null): EpochMs | null => {
  if (paused === null) return series.lastSlot
  recordSlots(unit, series, paused, "paused", "the task was paused")
  return Math.max(paused.last, series.lastSlot ?? paused.last)
}

/** Pauses: no slot fires until it is resumed. A pending occurrence is cancelled; a claimed one finishes. */
export const pauseSeries = (
  unit: SessionUnit,
  id: SeriesId,
  note: string | null,
): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(openSeries(unit, id), (series): Result.Result<Series, Conflict> => {
    if (series.status === "paused") return Result.succeed(series)
    cancelPending(unit, series, "the task was paused")
    return moveSeries(unit, series, "pause", { note, revision: series.revision + 1 })
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
  Result.flatMap(openSeries(unit, id), (series): Result.Result<Series, Conflict> => {
    if (series.status !== "paused") return Result.succeed(series)
    const { nextSlot, paused } =
      pausedSlots === "record"
        ? decideResume(series, unit.context.now)
        : {
            nextSlot: series.nextSlot ?? nextSlotOf(series, series.lastSlot ?? series.createdAt),
            paused: null,
          }
    return moveSeries(unit, series, nextSlot === null ? "complete" : "resume", {
      note: null,
      failuresInRow: 0,
      revision: series.revision + 1,
      lastSlot: recordPause(unit, series, paused),
      nextSlot,
    })
  })

/** Cancels for good. A pending occurrence is cancelled with it; a claimed one finishes. */
export const cancelSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series): Result.Result<Series, Conflict> => {
    if (series.status === "cancelled") return Result.succeed(series)
    cancelPending(unit, series, "the task was cancelled")
    return moveSeries(unit, series, "cancel", { nextSlot: null, revision: series.revision + 1 })
  })
