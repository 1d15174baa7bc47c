/**
 * The fields of a cron expression on a calendar without zones: the next and the last wall-clock time that they match, and how many
 * lie between two. Local times are the milliseconds that a UTC clock with the same face would show. Dates are found month by month,
 * never by walking time.
 */
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"

export interface CronSchedule {
  /** Canonical: five fields, six when the seconds are not just `0`; names in capitals, no macros. */
  readonly expression: string
  readonly seconds: ReadonlyArray<number>
  readonly minutes: ReadonlyArray<number>
  readonly hours: ReadonlyArray<number>
  /** 1 to 12. */
  readonly months: ReadonlyArray<number>
  readonly days: DayRule
  readonly elapsed: boolean
  /** No date is excluded. */
  readonly everyDay: boolean
}

/** Which days match, as crontab(5) has it: of a month, and of the week. */
export interface DayRule {
  /** Neither day field begins with `*`: a day that either of them has matches. Otherwise both must have it. */
  readonly either: boolean
  /** 1 to 31, ascending. */
  readonly daysOfMonth: ReadonlyArray<number>
  /** Days before the last one: 0 is `L`, 2 is `L-2`. */
  readonly beforeLast: ReadonlyArray<number>
  /** The weekday nearest to each of these days, in the same month: 15 is `15W`; 0, for the last day, is `LW`. */
  readonly workdays: ReadonlyArray<number>
  /** 0 (Sunday) to 6. */
  readonly daysOfWeek: ReadonlyArray<number>
  /** `1#2` is the second Monday of the month; with `nth` 0 it is the last one, `1L`. */
  readonly nthWeekdays: ReadonlyArray<{ readonly weekday: number; readonly nth: number }>
}

/** Months are counted from January 1970, and days from its first. */
const monthStart = (month: number): number => Date.UTC(1970, month) / DAY_MS

const DAYS_PER_MONTH = 30.436_875

const monthOfDay = (day: number): number => {
  // Months of unlike lengths stray from the mean by a few days, never by a whole month.
  const guess = Math.floor(day / DAYS_PER_MONTH)
  if (monthStart(guess) > day) return guess - 1
  return monthStart(guess + 1) <= day ? guess + 1 : guess
}

/** One more than instants have: the year 10000 begins earlier in the east. */
const LAST_MONTH = (10_000 - 1970) * 12 + 11
/** One year less, for the west. */
const FIRST_MONTH = -12
/** The calendar repeats after 400 years, weekdays included: what did not fire in them never will. */
const CALENDAR_MONTHS = 4800

/** The matching days of one month as bits 1 to 31. */
const dayMask = ({ days: rule, months }: CronSchedule, monthNumber: number): number => {
  if (!months.includes((((monthNumber % 12) + 12) % 12) + 1)) return 0
  const firstDay = monthStart(monthNumber)
  const length = monthStart(monthNumber + 1) - firstDay
  // 1970-01-01 was a Thursday.
  const weekdayOf = (day: number): number => (((firstDay + day + 3) % 7) + 7) % 7
  const bit = (day: number): number => (day >= 1 && day <= length ? 1 << day : 0)
  let month = 0
  for (const day of rule.daysOfMonth) month |= bit(day)
  for (const count of rule.beforeLast) month |= bit(length - count)
  for (const wanted of rule.workdays) {
    const day = wanted === 0 ? length : wanted
    const weekday = weekdayOf(day)
    const step = weekday === 6 ? (day > 1 ? -1 : 2) : weekday === 0 ? (day < length ? 1 : -2) : 0
    if (day <= length) month |= bit(day + step)
  }
  let week = 0
  for (let day = 1; day <= length; day++) if (rule.daysOfWeek.includes(weekdayOf(day))) week |= bit(day)
  for (const { nth, weekday } of rule.nthWeekdays) {
    const earliest = 1 + ((weekday - weekdayOf(1) + 7) % 7)
    week |= bit(earliest + 7 * (nth === 0 ? Math.floor((length - earliest) / 7) : nth - 1))
  }
  // Bit 31 makes the number negative; as unsigned it compares as it reads.
  return (rule.either ? month | week : month & week) >>> 0
}

/** The matching days from one day number, included, to another, excluded. */
const daysMatching = (cron: CronSchedule, from: number, to: number): number => {
  if (cron.everyDay) return Math.max(0, to - from)
  let count = 0
  for (let month = monthOfDay(from); monthStart(month) < to; month++) {
    const before = monthStart(month) - 1
    const mask = dayMask(cron, month)
    const last = Math.min(to, monthStart(month + 1)) - 1 - before
    for (let day = Math.max(1, from - before); day <= last; day++) count += (mask >>> day) & 1
  }
  return count
}

/** The nearest matching day at or after (or at or before) a day; null when there is none. */
const nearestDay = (cron: CronSchedule, from: number, direction: 1 | -1): number | null => {
  if (cron.everyDay) return from < monthStart(LAST_MONTH + 1) ? from : null
  const start = monthOfDay(from)
  const end = start + direction * CALENDAR_MONTHS
  const limit = direction === 1 ? Math.min(end, LAST_MONTH) : Math.max(end, FIRST_MONTH)
  for (let month = start; month * direction <= limit * direction; month += direction) {
    const mask = dayMask(cron, month)
    if (mask === 0) continue
    const before = monthStart(month) - 1
    let day = month === start ? from - before : direction === 1 ? 1 : 31
    for (; day >= 1 && day <= 31; day += direction) if (((mask >>> day) & 1) === 1) return before + day
  }
  return null
}

/** The first value at or above a limit. */
const atOrAbove = (values: ReadonlyArray<number>, limit: number): number | undefined =>
  values.find((each) => each >= limit)

/** The last value at or below a limit. */
const atOrBelow = (values: ReadonlyArray<number>, limit: number): number | undefined =>
  values.findLast((each) => each <= limit)

const clockOf = (time: number): readonly [hour: number, minute: number, second: number] => [
  Math.floor(time / HOUR_MS),
  Math.floor((time % HOUR_MS) / MINUTE_MS),
  Math.floor((time % MINUTE_MS) / SECOND_MS),
]

/** The nearest matching time of day at or after (`1`) or at or before (`-1`) some milliseconds of the day. */
const nearestTime = (cron: CronSchedule, time: number, direction: 1 | -1): number | null => {
  const pick = direction === 1 ? atOrAbove : atOrBelow
  const edge = (values: ReadonlyArray<number>) => values[direction === 1 ? 0 : values.length - 1]!
  const [hour, minute, second] = clockOf(time)
  const toTime = (h: number, m: number, s: number) => h * HOUR_MS + m * MINUTE_MS + s * SECOND_MS
  if (cron.hours.includes(hour)) {
    if (cron.minutes.includes(minute)) {
      const sameMinute = pick(cron.seconds, second)
      if (sameMinute !== undefined) return toTime(hour, minute, sameMinute)
    }
    const otherMinute = pick(cron.minutes, minute + direction)
    if (otherMinute !== undefined) return toTime(hour, otherMinute, edge(cron.seconds))
  }
  const otherHour = pick(cron.hours, hour + direction)
  return otherHour === undefined ? null : toTime(otherHour, edge(cron.minutes), edge(cron.seconds))
}

const nearestLocal = (cron: CronSchedule, local: number, direction: 1 | -1): number | null => {
  const today = Math.floor(local / DAY_MS)
  const day = nearestDay(cron, today, direction)
  if (day === null) return null
  if (day === today) {
    const time = nearestTime(cron, local - today * DAY_MS, direction)
    if (time !== null) return day * DAY_MS + time
  }
  const other = day === today ? nearestDay(cron, today + direction, direction) : day
  if (other === null) return null
  const time = nearestTime(cron, direction === 1 ? 0 : DAY_MS - SECOND_MS, direction)
  return time === null ? null : other * DAY_MS + time
}

/** The first matching local time at or after `local`, a whole second; null when there is none up to the year 10000. */
export const nextLocal = (cron: CronSchedule, local: number): number | null => nearestLocal(cron, local, 1)

/** The last matching local time at or before `local`, a whole second; null when there is none since 1969. */
export const previousLocal = (cron: CronSchedule, local: number): number | null =>
  nearestLocal(cron, local, -1)

const below = (values: ReadonlyArray<number>, limit: number): number =>
  values.filter((each) => each < limit).length

/** The matching times of a day before some milliseconds of it, a whole second. */
const timesBefore = (cron: CronSchedule, time: number): number => {
  const [hour, minute, second] = clockOf(time)
  let count = below(cron.hours, hour) * cron.minutes.length * cron.seconds.length
  if (!cron.hours.includes(hour)) return count
  count += below(cron.minutes, minute) * cron.seconds.length
  return cron.minutes.includes(minute) ? count + below(cron.seconds, second) : count
}

/** The matching local times from one, included, to another, excluded; both whole seconds. */
export const localsBetween = (cron: CronSchedule, from: number, to: number): number => {
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
