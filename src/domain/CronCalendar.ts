/**
 * The fields of a cron expression on a calendar without zones: the next and the last wall-clock time that they match. Local times
 * are the milliseconds that a UTC clock with the same face would show. Dates are found month by month, never by walking time.
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

interface CalendarDate {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
}

/** One more than instants have: the year 10000 begins earlier in the east. */
const LAST_YEAR = 10_000
/** One less, for the west. */
const FIRST_YEAR = 1969
/** The calendar repeats after 400 years, weekdays included: what did not fire in them never will. */
const CALENDAR_MONTHS = 4800

const daysFromDate = (year: number, month: number, day: number): number =>
  Date.UTC(year, month - 1, day) / DAY_MS

/** Howard Hinnant's civil_from_days. */
const dateFromDays = (days: number): CalendarDate => {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  }
}

/** The matching days of one month as bits 1 to 31. */
const dayMask = (rule: DayRule, firstDay: number, length: number): number => {
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
export const daysMatching = (cron: CronSchedule, from: number, to: number): number => {
  if (cron.everyDay) return Math.max(0, to - from)
  let count = 0
  for (let first = from; first < to;) {
    const { day, month, year } = dateFromDays(first)
    const monthStart = first - day + 1
    const nextMonth = month === 12 ? daysFromDate(year + 1, 1, 1) : daysFromDate(year, month + 1, 1)
    const last = Math.min(to, nextMonth) - monthStart
    if (cron.months.includes(month)) {
      const mask = dayMask(cron.days, monthStart, nextMonth - monthStart)
      for (let each = day; each <= last; each++) count += (mask >>> each) & 1
    }
    first = nextMonth
  }
  return count
}

/** The nearest matching day at or after (or at or before) `days`, as a day number; null when there is none. */
const nearestDay = (cron: CronSchedule, days: number, direction: 1 | -1): number | null => {
  let { year, month, day } = dateFromDays(days)
  if (cron.everyDay) return year > LAST_YEAR ? null : days
  for (let count = 0; count <= CALENDAR_MONTHS; count++) {
    if (year > LAST_YEAR || year < FIRST_YEAR) return null
    if (cron.months.includes(month)) {
      const first = daysFromDate(year, month, 1)
      const length = month === 12 ? 31 : daysFromDate(year, month + 1, 1) - first
      const mask = dayMask(cron.days, first, length)
      for (let each = Math.min(day, length); each >= 1 && each <= length; each += direction)
        if (((mask >>> each) & 1) === 1) return first + each - 1
    }
    month += direction
    if (month === 13 || month === 0) {
      month = direction === 1 ? 1 : 12
      year += direction
    }
    day = direction === 1 ? 1 : 31
  }
  return null
}

/** The first value at or above a limit. */
const atOrAbove = (values: ReadonlyArray<number>, limit: number): number | null => {
  for (const each of values) if (each >= limit) return each
  return null
}

/** The last value at or below a limit. */
const atOrBelow = (values: ReadonlyArray<number>, limit: number): number | null => {
  for (let index = values.length - 1; index >= 0; index--) if (values[index]! <= limit) return values[index]!
  return null
}

/** The nearest matching time of day at or after (`1`) or at or before (`-1`) some milliseconds of the day. */
const nearestTime = (cron: CronSchedule, time: number, direction: 1 | -1): number | null => {
  const pick = direction === 1 ? atOrAbove : atOrBelow
  const edge = (values: ReadonlyArray<number>) => values[direction === 1 ? 0 : values.length - 1]!
  const hour = Math.floor(time / HOUR_MS)
  const minute = Math.floor((time % HOUR_MS) / MINUTE_MS)
  const second = Math.floor((time % MINUTE_MS) / SECOND_MS)
  const toTime = (h: number, m: number, s: number) => h * HOUR_MS + m * MINUTE_MS + s * SECOND_MS
  if (cron.hours.includes(hour)) {
    if (cron.minutes.includes(minute)) {
      const sameMinute = pick(cron.seconds, second)
      if (sameMinute !== null) return toTime(hour, minute, sameMinute)
    }
    const otherMinute = pick(cron.minutes, minute + direction)
    if (otherMinute !== null) return toTime(hour, otherMinute, edge(cron.seconds))
  }
  const otherHour = pick(cron.hours, hour + direction)
  return otherHour === null ? null : toTime(otherHour, edge(cron.minutes), edge(cron.seconds))
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
