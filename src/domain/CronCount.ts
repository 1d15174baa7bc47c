/**
 * How many slots of a cron schedule lie between two instants, without finding any: after a long outage a schedule of every minute
 * has missed thousands. Times of a day and days of a month are counted, span by span of the zone; borders follow `CronSchedule.ts`.
 */
import { type CronSchedule, daysMatching } from "./CronCalendar.ts"
import { firstLocal, isGapSlot } from "./CronSchedule.ts"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import { spanAt } from "./ZoneOffsets.ts"

const below = (values: ReadonlyArray<number>, limit: number): number => {
  let count = 0
  for (const each of values) if (each < limit) count += 1
  return count
}

/** The matching times of a day before some milliseconds of it, a whole second. */
const timesBefore = (cron: CronSchedule, time: number): number => {
  const hour = Math.floor(time / HOUR_MS)
  const minute = Math.floor((time % HOUR_MS) / MINUTE_MS)
  const second = Math.floor((time % MINUTE_MS) / SECOND_MS)
  let count = below(cron.hours, hour) * cron.minutes.length * cron.seconds.length
  if (!cron.hours.includes(hour)) return count
  count += below(cron.minutes, minute) * cron.seconds.length
  return cron.minutes.includes(minute) ? count + below(cron.seconds, second) : count
}

/** The matching local times from one, included, to another, excluded; both whole seconds. */
const localsBetween = (cron: CronSchedule, from: number, to: number): number => {
  if (from >= to) return 0
  const [firstDay, lastDay] = [Math.floor(from / DAY_MS), Math.floor(to / DAY_MS)]
  const before = timesBefore(cron, from - firstDay * DAY_MS)
  const after = timesBefore(cron, to - lastDay * DAY_MS)
  const perDay = cron.hours.length * cron.minutes.length * cron.seconds.length
  // Whole days from the first on, less what of the first comes too early, and what of the last is early enough.
  const whole = daysMatching(cron, firstDay, lastDay) * perDay
  const onFirst = daysMatching(cron, firstDay, firstDay + 1) * before
  const onLast = daysMatching(cron, lastDay, lastDay + 1) * after
  return whole - onFirst + onLast
}

/** The slots after one instant and up to another, included. */
export const countCronSlots = (cron: CronSchedule, zone: string, after: number, until: number): number => {
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
