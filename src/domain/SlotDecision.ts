/**
 * What to do about a series' slots: when one came due, when a pause ends, when the schedule changes. Implements the default
 * policies: overlap `skip` and catch-up `latest`; every other value in the series is treated as the default. The interpreter writes
 * the occurrence or the run row and sets the series' `nextSlot` and `lastSlot` in one transaction.
 */
import type { EpochMs } from "./Instant.ts"
import { nextSlot, previousSlot } from "./Recurrence.ts"
import type { Schedule, Series } from "./Series.ts"

/** Counting stops here: a range that says so holds at least this many slots. */
export const SLOT_COUNT_LIMIT = 10_000

/** Slots in a row that did not run: one run row. */
export interface SlotRange {
  readonly first: EpochMs
  readonly last: EpochMs
  /** At most `SLOT_COUNT_LIMIT`. */
  readonly count: number
}

export type SlotDecision =
  /** Not active, or its next slot is still to come: change nothing. */
  | { readonly _tag: "NotDue" }
  /** Insert the occurrence of `slot`; `missed` passed before it, unseen. `nextSlot` null: the series is completed. */
  | {
      readonly _tag: "Fire"
      readonly slot: EpochMs
      readonly missed: SlotRange | null
      readonly nextSlot: EpochMs | null
    }
  /** As `Fire`, but the last occurrence has not ended: record `slot` as skipped by overlap. */
  | {
      readonly _tag: "SkipOverlap"
      readonly slot: EpochMs
      readonly missed: SlotRange | null
      readonly nextSlot: EpochMs | null
      readonly openOccurrences: number
    }

/**
 * Decides about the slots of a series that are due at `now`. Of several, the latest fires and the earlier ones are missed, so a
 * `Once` that passed while the daemon was down still fires. The next slot is always later than `now` and than `slot`.
 */
export const decideSlot = (
  series: Series,
  now: EpochMs,
  context: { readonly openOccurrences: number },
): SlotDecision => {
  const due = series.nextSlot
  if (series.status !== "active" || due === null || due > now) return { _tag: "NotDue" }
  // A due slot may lie off the grid (a first run that was asked for); then it is the earliest of those that passed.
  const slot = Math.max(previousSlot(series.schedule, now + 1) ?? due, due)
  const decision = {
    slot,
    missed: rangeOf(series.schedule, due, slot),
    nextSlot: nextSlot(series.schedule, now),
  }
  return context.openOccurrences > 0
    ? { _tag: "SkipOverlap", ...decision, openOccurrences: context.openOccurrences }
    : { _tag: "Fire", ...decision }
}

export interface ResumeDecision {
  /** Null: no slot is left, the series is completed. */
  readonly nextSlot: EpochMs | null
  /** The slots that passed during the pause; they are recorded, not caught up. */
  readonly paused: SlotRange | null
}

/** Decides how a series goes on when its pause ends: with the first slot after `now`, and never with one already dealt with. */
export const decideResume = (series: Series, now: EpochMs): ResumeDecision => {
  const first = series.nextSlot ?? nextSlot(series.schedule, series.lastSlot ?? series.createdAt)
  return {
    nextSlot: decideReschedule(series, series.schedule, now),
    paused: first === null ? null : rangeOf(series.schedule, first, now + 1),
  }
}

/**
 * The next slot when a series gets another schedule: the first one of the new grid strictly after `now`. If the clock was set
 * back, it also lies after the last slot that was dealt with, so that none can come twice. Null: the new schedule has none.
 */
export const decideReschedule = (series: Series, schedule: Schedule, now: EpochMs): EpochMs | null =>
  nextSlot(schedule, Math.max(now, series.lastSlot ?? now))

/** The slots from `first` on, and before `end`; null when `first` itself is not. `first` need not lie on the grid. */
const rangeOf = (schedule: Schedule, first: EpochMs, end: EpochMs): SlotRange | null => {
  if (first >= end) return null
  const last = Math.max(previousSlot(schedule, end) ?? first, first)
  return { first, last, count: Math.min(1 + countAfter(schedule, first, last), SLOT_COUNT_LIMIT) }
}

const countAfter = (schedule: Schedule, first: EpochMs, last: EpochMs): number => {
  const second = nextSlot(schedule, first)
  if (second === null || second > last) return 0
  if (schedule._tag === "Interval") return (last - second) / schedule.everyMs + 1
  let count = 0
  let slot: EpochMs | null = second
  while (slot !== null && slot <= last && count < SLOT_COUNT_LIMIT) {
    count++
    slot = nextSlot(schedule, slot)
  }
  return count
}
