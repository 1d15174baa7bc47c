/**
 * Recurrence: from a schedule to its slots. The public face of scheduling: what a slot is, which comes next, which came last.
 * Slots are functions of the schedule alone, so a restart, a late finish or a change of clock can neither move nor repeat one.
 * Reading schedules is in `ScheduleText.ts`, showing them in `ScheduleWords.ts`.
 *
 * Libraries lose or double cron's runs around clock changes, so they are found here, on the spans of `ZoneOffsets.ts`: inside one span
 * local time is instant + offset, and all daylight-saving rules live at the borders.
 *
 * Hours are **elapsed** or **fixed**. Elapsed: the hour field covers all 24 hours, or has a step (`0-23/2`, `8-18/2`) and leaves
 * more than one. Fixed: everything else, that is lists and plain ranges. Minutes and seconds don't matter for this.
 *
 * - Fixed: a time in a gap runs at the first instant after the gap; a repeated time runs in its first pass only.
 * - Elapsed: runs in both passes. A time in a gap is dropped when the schedule runs anyway at the instant that the old offset
 *   gives it (`15 * * * *`: 02:15 would be 03:15), and otherwise runs at the first instant after the gap, like a fixed one; so
 *   a gap never makes the wait longer than the schedule's own.
 * - All times of one gap are at most one slot, at the gap's end.
 */
import { Result } from "effect"
import { type CronSchedule, localsBetween, nextLocal, previousLocal } from "./CronCalendar.ts"
import { parseCron } from "./CronSchedule.ts"
import { DAY_MS, type EpochMs, SECOND_MS } from "./Instant.ts"
import { MAX_SLOT } from "./ScheduleText.ts"
import type { Schedule } from "./Series.ts"
import { spanAt, type ZoneSpan } from "./ZoneOffsets.ts"

export { MAX_SCHEDULE_LENGTH, MAX_SLOT, parseSchedule, ScheduleError } from "./ScheduleText.ts"
export { describeSchedule, formatSchedule } from "./ScheduleWords.ts"

/** `preview` gives at most this many slots. */
export const MAX_PREVIEW = 1000

/**
 * The first slot strictly after an instant; null when there is none up to the year 9999. Jumps over any distance. An interval's
 * first slot is its anchor. A cron schedule that `parseSchedule` would refuse has no slots.
 */
export const nextSlot = (schedule: Schedule, after: EpochMs): EpochMs | null => {
  if (after >= MAX_SLOT) return null
  const slot = findNext(schedule, after)
  return slot === null || slot > MAX_SLOT ? null : slot
}

const findNext = (schedule: Schedule, after: EpochMs): EpochMs | null => {
  switch (schedule._tag) {
    case "Once":
      return schedule.at > after ? schedule.at : null
    case "Interval": {
      const { anchor, everyMs } = schedule
      if (everyMs < 1) return null
      return after < anchor ? anchor : anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs
    }
    case "Cron": {
      const cron = parseCron(schedule.expression)
      return Result.isSuccess(cron) ? nextCronSlot(cron.success, schedule.zone, after) : null
    }
  }
}

/** The last slot strictly before an instant; null when there is none since 1970. The mirror of `nextSlot`. */
export const previousSlot = (schedule: Schedule, before: EpochMs): EpochMs | null => {
  const limit = Math.min(before, MAX_SLOT + 1)
  switch (schedule._tag) {
    case "Once":
      return schedule.at < limit ? schedule.at : null
    case "Interval": {
      const { anchor, everyMs } = schedule
      if (everyMs < 1 || anchor >= limit) return null
      return anchor + (Math.ceil((limit - anchor) / everyMs) - 1) * everyMs
    }
    case "Cron": {
      const cron = parseCron(schedule.expression)
      return Result.isSuccess(cron) ? previousCronSlot(cron.success, schedule.zone, limit) : null
    }
  }
}

/** How many slots lie after one instant and up to another, included. Costs nothing of the slots between. */
export const countSlots = (schedule: Schedule, after: EpochMs, until: EpochMs): number => {
  if (schedule._tag === "Cron") {
    const cron = parseCron(schedule.expression)
    const last = Math.min(until, MAX_SLOT)
    return Result.isSuccess(cron) ? countCronSlots(cron.success, schedule.zone, after, last) : 0
  }
  const first = nextSlot(schedule, after)
  if (first === null || first > until) return 0
  if (schedule._tag === "Once") return 1
  return Math.floor((Math.min(until, MAX_SLOT) - first) / schedule.everyMs) + 1
}

/** The next slots after an instant, at most `count` and at most `MAX_PREVIEW`; fewer when the schedule ends. */
export const preview = (schedule: Schedule, after: EpochMs, count: number): ReadonlyArray<EpochMs> =>
  slotsAfter((last) => nextSlot(schedule, last), after, Math.min(count, MAX_PREVIEW))

/** At most `count`, each found from the one before. */
export const slotsAfter = (
  next: (after: EpochMs) => EpochMs | null,
  after: EpochMs,
  count: number,
): ReadonlyArray<EpochMs> => {
  const slots: Array<EpochMs> = []
  for (let slot = next(after); slot !== null && slots.length < count; slot = next(slot)) slots.push(slot)
  return slots
}

/** No gap or repeated stretch is longer; a search may jump over all borders that are farther away than this. */
const BORDER_MS = 2 * DAY_MS

/** Whether times inside the gap before this span make its first instant a slot. */
const isGapSlot = (cron: CronSchedule, span: ZoneSpan): boolean => {
  const shift = span.offsetMs - span.previousOffsetMs
  if (shift <= 0) return false
  const gapEnd = span.startMs + span.offsetMs
  let local = nextLocal(cron, gapEnd - shift)
  if (!cron.elapsed) return local !== null && local < gapEnd
  if (nextLocal(cron, gapEnd) === gapEnd) return false
  while (local !== null && local < gapEnd) {
    if (nextLocal(cron, local + shift) !== local + shift) return true
    local = nextLocal(cron, local + SECOND_MS)
  }
  return false
}

/** The first local time of a span that can fire: fixed times already ran in the first pass of a repeated stretch. */
const firstLocal = (cron: CronSchedule, span: ZoneSpan): number =>
  span.startMs + (cron.elapsed ? span.offsetMs : Math.max(span.offsetMs, span.previousOffsetMs))

/** The first slot strictly after an instant; null when there is none or no such zone. */
const nextCronSlot = (cron: CronSchedule, zone: string, after: number): number | null => {
  let from = Math.floor(after / SECOND_MS) * SECOND_MS + SECOND_MS
  for (;;) {
    const span = spanAt(zone, from)
    if (span === null) return null
    if (from === span.startMs && isGapSlot(cron, span)) return from
    const local = nextLocal(cron, Math.max(from + span.offsetMs, firstLocal(cron, span)))
    if (local === null) return null
    const slot = local - span.offsetMs
    if (slot < span.endMs) return slot
    // Far from the border nothing before `local` can match, so the spans in between need no look.
    const jumps = span.endMs - from > BORDER_MS && slot - span.endMs > BORDER_MS
    from = jumps ? slot - BORDER_MS : span.endMs
  }
}

/** The last slot strictly before an instant, not before 1970; null when there is none or no such zone. */
const previousCronSlot = (cron: CronSchedule, zone: string, before: number): number | null => {
  let to = Math.ceil(before / SECOND_MS) * SECOND_MS - SECOND_MS
  while (to >= 0) {
    const span = spanAt(zone, to)
    if (span === null) return null
    const local = previousLocal(cron, to + span.offsetMs)
    const slot = local === null ? Number.NEGATIVE_INFINITY : local - span.offsetMs
    if (local !== null && slot >= span.startMs && local >= firstLocal(cron, span))
      return slot >= 0 ? slot : null
    if (isGapSlot(cron, span)) return span.startMs >= 0 ? span.startMs : null
    const jumps = to - span.startMs > BORDER_MS && span.startMs - slot > BORDER_MS
    to = jumps ? slot + BORDER_MS : span.startMs - SECOND_MS
  }
  return null
}

/**
 * How many slots lie after one instant and up to another, included, without finding any: after a long outage a schedule of every minute
 * has missed thousands. Times of a day and days of a month are counted, span by span of the zone.
 */
const countCronSlots = (cron: CronSchedule, zone: string, after: number, until: number): number => {
  let count = 0
  let from = Math.floor(after / SECOND_MS) * SECOND_MS + SECOND_MS
  const end = Math.floor(until / SECOND_MS) * SECOND_MS + SECOND_MS
  while (from < end) {
    const span = spanAt(zone, from)
    if (span === null) return count
    const to = Math.min(end, span.endMs)
    if (from === span.startMs && isGapSlot(cron, span)) {
      count += 1
      from += SECOND_MS
    }
    count += localsBetween(cron, Math.max(from + span.offsetMs, firstLocal(cron, span)), to + span.offsetMs)
    from = to
  }
  return count
}
