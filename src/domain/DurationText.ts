/**
 * Lengths of time as people write them: the one grammar of schedules, settings, flags, policies and scenarios. Ranges are the caller's:
 * a grace period and a schedule's interval have different ones.
 */
import { Duration, Option, Result } from "effect"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import { refuseText, shifted, type TextProblem } from "./TextProblem.ts"

/** Each unit with the names that it goes by; all but the shortest also take an "s". */
const UNITS: ReadonlyArray<readonly [millis: number, name: string, ...others: ReadonlyArray<string>]> = [
  [1, "ms", "milli", "millisecond"],
  [SECOND_MS, "s", "sec", "second"],
  [MINUTE_MS, "m", "min", "minute"],
  [HOUR_MS, "h", "hr", "hour"],
  [DAY_MS, "d", "day"],
  [7 * DAY_MS, "w", "week"],
]
const MILLIS_OF_UNIT = new Map(
  UNITS.flatMap(([millis, short, ...long]) =>
    [short, ...long, ...long.map((name) => `${name}s`)].map((name) => [name, millis] as const),
  ),
)
const UNIT_REMEDY = 'Use ms, s, m, h, d or w: "90s", "1h30m", "2 days", or ISO 8601: "PT5M".'
const CALENDAR_REMEDY = "Use cron: @monthly, @yearly."
const CALENDAR_UNIT = /^(?:mo|month|months|y|yr|year|years)$/
const PART = /(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]+)(?:\s*,\s*|\s+and\s+|\s*)/iy
const MAX_LENGTH = 200

/**
 * `90s`, `1h 30m`, `2 hours and 5 minutes`, `PT5M`, in whole milliseconds; a number is milliseconds already. Text without a unit is
 * refused. Only ISO 8601 can say less than nothing (`-PT5M`).
 */
export const parseDuration = (given: string | number): Result.Result<number, TextProblem> => {
  if (typeof given === "number") return wholeMillis(given)
  const text = given.trim()
  return shifted(readText(text), given.indexOf(text))
}

/** The same where text of digits alone means milliseconds: in schedules, and in variables whose names end with `_MS`. */
export const parseDurationOrMillis = (given: string | number): Result.Result<number, TextProblem> =>
  parseDuration(typeof given === "string" && /^\s*\d{1,15}\s*$/.test(given) ? Number(given) : given)

const readText = (text: string): Result.Result<number, TextProblem> => {
  if (text === "") return refuseText("the length of time is missing", 0, UNIT_REMEDY)
  if (text.length > MAX_LENGTH)
    return refuseText(`it is longer than ${MAX_LENGTH} characters`, MAX_LENGTH, UNIT_REMEDY)
  if (/^[+-]?P/i.test(text)) return readIso(text)
  if (/^\d+$/.test(text)) return refuseText("the unit is missing", text.length, UNIT_REMEDY)
  let total = 0
  let position = 0
  while (position < text.length) {
    PART.lastIndex = position
    const match = PART.exec(text)
    if (match === null) return refuseText("this is no length of time", position, UNIT_REMEDY)
    const [all, amount, unit = ""] = match
    const millis = MILLIS_OF_UNIT.get(unit.toLowerCase())
    const unitAt = position + all.indexOf(unit)
    if (millis === undefined)
      return CALENDAR_UNIT.test(unit.toLowerCase())
        ? refuseText("months and years have no fixed length", unitAt, CALENDAR_REMEDY)
        : refuseText(`there is no unit "${unit}"`, unitAt, UNIT_REMEDY)
    total += Number(amount) * millis
    position = PART.lastIndex
  }
  return wholeMillis(total)
}

const readIso = (text: string): Result.Result<number, TextProblem> => {
  const parsed = Duration.fromIso(text.toUpperCase())
  if (Option.isSome(parsed)) return wholeMillis(Duration.toMillis(parsed.value))
  return /^[+-]?P[^T]*[YM]/i.test(text)
    ? refuseText("months and years have no fixed length", 0, CALENDAR_REMEDY)
    : refuseText("this is no ISO 8601 duration", 0, 'Examples: "PT30S", "PT5M", "PT1H30M", "P1D", "P1W".')
}

const wholeMillis = (millis: number): Result.Result<number, TextProblem> => {
  // 0.1 h is a whole number of milliseconds, but not after a multiplication of fractions.
  const rounded = Math.round(millis)
  return Math.abs(millis - rounded) < 1e-6 && Number.isSafeInteger(rounded)
    ? Result.succeed(rounded)
    : refuseText("it is not a whole number of milliseconds", 0, UNIT_REMEDY)
}
