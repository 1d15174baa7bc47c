/**
 * A jump of the host's clock, and what it means to intervals. An interval is elapsed time: when the clock is set back by an hour, its
 * next slot would rest for that hour. So its grid is set back too. The grid gets a number, which is part of a slot's key: the new grid
 * may reach instants that were slots of the old one. Cron is wall-clock time, and waits.
 */
import { Schema } from "effect"
import { EpochMs } from "./Instant.ts"
import type { Series, SeriesPatch } from "./Series.ts"
import { nextSlotOf } from "./SeriesSlots.ts"

export const ClockJump = Schema.Struct({
  /** What the clock showed after it. */
  at: EpochMs,
  /** Negative: the clock was set back. */
  byMs: Schema.Int,
})
export type ClockJump = typeof ClockJump.Type

/** A smaller step may be the correction of a clock that is kept well; it moves nothing. */
export const CLOCK_JUMP_MS = 10_000

/**
 * The series on a grid that is set back with the clock; null when it stays. What is meant as an instant stays: a first run that was
 * asked for, a start that was still to come. Series that were made after the jump are as the new clock says.
 */
export const reanchored = (series: Series, { at, byMs }: ClockJump): SeriesPatch | null => {
  const { bounds, lastSlot, nextSlot, schedule, status } = series
  if (schedule._tag !== "Interval" || nextSlot === null || byMs >= 0) return null
  if (status !== "active" && status !== "paused") return null
  const { anchor, everyMs } = schedule
  const before = at - byMs
  const isOnGrid = (nextSlot - anchor) % everyMs === 0
  const isPlanned = anchor > before || (bounds.startAt !== null && bounds.startAt > before)
  const isOfNewClock = Math.max(nextSlot - everyMs, lastSlot ?? 0) <= at
  if (!isOnGrid || isPlanned || isOfNewClock) return null
  const back = (instant: EpochMs): EpochMs => Math.max(0, instant + byMs)
  const moved = anchor + byMs
  const shifted = {
    ...series,
    schedule: { ...schedule, anchor: moved >= 0 ? moved : ((moved % everyMs) + everyMs) % everyMs },
  }
  return {
    schedule: shifted.schedule,
    lastSlot: lastSlot === null ? null : back(lastSlot),
    nextSlot: nextSlotOf(shifted, back(nextSlot) - 1),
    grid: series.grid + 1,
  }
}
