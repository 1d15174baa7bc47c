/**
 * Recurrence: from a schedule to its slots. The public face of scheduling: what a slot is, which comes next, which came last.
 * Slots are functions of the schedule alone, so a restart, a late finish or a change of clock can neither move nor repeat one.
 * Reading schedules is in `ScheduleText.ts`, showing them in `ScheduleWords.ts`, cron and daylight saving in `CronSchedule.ts`.
 */
import { Result } from "effect"
import { countCronSlots } from "./CronCount.ts"
import { nextCronSlot, parseCron, previousCronSlot } from "./CronSchedule.ts"
import type { EpochMs } from "./Instant.ts"
import { MAX_SLOT } from "./ScheduleText.ts"
import type { Schedule } from "./Series.ts"

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
