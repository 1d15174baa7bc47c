/** Schedules for display: the canonical text, which `parseSchedule` reads back, and a short description in words. */
import { Duration, Option, Result } from "effect"
import type { CronSchedule, DayRule } from "./CronCalendar.ts"
import { parseCron } from "./CronSchedule.ts"
import { formatExchangeTime } from "./ExchangeTime.ts"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import type { Schedule } from "./Series.ts"

/**
 * The canonical text: a UTC instant, a cron expression (read in the schedule's zone), or an ISO 8601 duration (an interval's
 * anchor is not shown).
 */
export const formatSchedule = (schedule: Schedule): string => {
  switch (schedule._tag) {
    case "Once":
      return formatInstant(schedule.at)
    case "Cron":
      return schedule.expression
    case "Interval":
      return Option.getOrElse(
        Duration.formatIso(Duration.millis(schedule.everyMs)),
        () => `${schedule.everyMs}`,
      )
  }
}

/** In words, short: "every 5 minutes", "at 09:00 on Monday to Friday (Europe/Paris)", "once at 2026-12-01T08:00:00Z". */
export const describeSchedule = (schedule: Schedule): string => {
  switch (schedule._tag) {
    case "Once":
      return `once at ${formatInstant(schedule.at)}`
    case "Interval":
      return `every ${describeLength(schedule.everyMs)}`
    case "Cron": {
      const cron = parseCron(schedule.expression)
      return Result.isSuccess(cron)
        ? `${describeCron(cron.success)} (${schedule.zone})`
        : `never: ${cron.failure.reason}`
    }
  }
}

const formatInstant = (instant: number): string => formatExchangeTime(instant).replace(".000Z", "Z")

const LENGTHS = [
  ["day", DAY_MS],
  ["hour", HOUR_MS],
  ["minute", MINUTE_MS],
  ["second", SECOND_MS],
  ["millisecond", 1],
] as const

const describeLength = (millis: number): string => {
  const words: Array<string> = []
  let rest = millis
  for (const [name, length] of LENGTHS) {
    const count = Math.floor(rest / length)
    rest -= count * length
    if (count > 0) words.push(count === 1 && words.length === 0 && rest === 0 ? name : plural(count, name))
  }
  return words.join(" ")
}

/** A number of things: `1 task`, `2 tasks`. */
export const plural = (count: number, name: string): string => `${count} ${name}${count === 1 ? "" : "s"}`

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const MONTH_NAME = new Intl.DateTimeFormat("en", { month: "long", timeZone: "UTC" })
const ORDINALS = ["last", "first", "second", "third", "fourth", "fifth"]
/** More times of day than this are described by their fields. */
const MAX_TIMES = 6

const describeCron = (cron: CronSchedule): string =>
  [describeTimes(cron), describeDays(cron.days), describeMonths(cron.months)]
    .filter((words) => words !== "")
    .join(" ")

const two = (value: number): string => String(value).padStart(2, "0")

const describeTimes = (cron: CronSchedule): string => {
  const { hours, minutes, seconds } = cron
  if (hours.length * minutes.length * seconds.length <= MAX_TIMES) {
    const showSeconds = seconds.length > 1 || seconds[0] !== 0
    const times = hours.flatMap((hour) =>
      minutes.flatMap((minute) =>
        seconds.map((second) => `${two(hour)}:${two(minute)}${showSeconds ? `:${two(second)}` : ""}`),
      ),
    )
    return `at ${list(times)}`
  }
  const inHours = hours.length === 24 ? "" : `of ${describeField(hours, 24, "hour")}`
  const inMinutes =
    minutes.length === 60 && seconds.length > 1
      ? ""
      : minutes.length === 1 && hours.length === 24
        ? `${minutes[0] === 0 && seconds.length === 1 ? "" : `at minute ${minutes[0]} of `}every hour`
        : `${stepOf(minutes, 60) === null && minutes.length < 60 ? "at " : ""}${describeField(minutes, 60, "minute")}`
  const inSeconds =
    seconds.length > 1
      ? `${stepOf(seconds, 60) === null && seconds.length < 60 ? "at " : ""}${describeField(seconds, 60, "second")}`
      : seconds[0] === 0
        ? ""
        : `at second ${seconds[0]} of`
  return [inSeconds, inMinutes, inHours].filter((words) => words !== "").join(" ")
}

/** The step of values that cover a whole field evenly from zero; null when they don't. */
const stepOf = (values: ReadonlyArray<number>, size: number): number | null => {
  const step = values[1]
  if (values.length < 2 || values[0] !== 0 || step === undefined || size % step !== 0) return null
  return values.length === size / step && values.every((value, index) => value === index * step) ? step : null
}

const describeField = (values: ReadonlyArray<number>, size: number, name: string): string => {
  const step = stepOf(values, size)
  if (step === 1) return `every ${name}`
  if (step !== null) return `every ${step} ${name}s`
  return `${name}${values.length === 1 ? "" : "s"} ${ranges(values, String)}`
}

const describeDays = (rule: DayRule): string => {
  const byMonth = rule.daysOfMonth.length === 31 ? null : describeDates(rule)
  const byWeek = rule.daysOfWeek.length === 7 ? null : describeWeekdays(rule)
  if (byMonth === null) return byWeek === null ? "" : `on ${byWeek}`
  const dates = `on ${byMonth} of the month`
  return byWeek === null ? dates : `${dates} ${rule.either ? "or on" : "if that is"} ${byWeek}`
}

const describeDates = ({ beforeLast, daysOfMonth, workdays }: DayRule): string =>
  list([
    ...(daysOfMonth.length === 0
      ? []
      : [`day${daysOfMonth.length === 1 ? "" : "s"} ${ranges(daysOfMonth, String)}`]),
    ...beforeLast.map((count) => (count === 0 ? "the last day" : `${plural(count, "day")} before the last`)),
    ...workdays.map((day) => (day === 0 ? "the last weekday" : `the weekday nearest to day ${day}`)),
  ])

const describeWeekdays = (rule: DayRule): string => {
  const name = (day: number) => WEEKDAYS[day]!
  // A week is read from Monday, so that a weekend is one range.
  const fromMonday = rule.daysOfWeek.map((day) => (day + 6) % 7).sort((a, b) => a - b)
  return list([
    ...(fromMonday.length > 0 ? [ranges(fromMonday, (day) => name((day + 1) % 7))] : []),
    ...rule.nthWeekdays.map(({ nth, weekday }) => `the ${ORDINALS[nth]} ${name(weekday)} of the month`),
  ])
}

const describeMonths = (months: ReadonlyArray<number>): string =>
  months.length === 12 ? "" : `in ${ranges(months, (month) => MONTH_NAME.format(Date.UTC(2000, month - 1)))}`

const list = (words: ReadonlyArray<string>): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`

/** Ascending values with three or more in a row as "a to b". */
const ranges = (values: ReadonlyArray<number>, show: (value: number) => string): string => {
  const words: Array<string> = []
  let start = 0
  while (start < values.length) {
    let end = start
    while (end + 1 < values.length && values[end + 1] === values[end]! + 1) end++
    if (end - start < 2) end = start
    words.push(end === start ? show(values[start]!) : `${show(values[start]!)} to ${show(values[end]!)}`)
    start = end + 1
  }
  return list(words)
}
