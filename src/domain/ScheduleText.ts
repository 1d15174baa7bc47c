/**
 * Schedules as people and agents write them, read into the canonical form that is stored. Everything that could be wrong with
 * a schedule is found here, when it is created, with the reason, the position and the remedy; a stored one can't fail later.
 */
import { Duration, Option, Result, Schema } from "effect"
import { parseCron } from "./CronSchedule.ts"
import { DAY_MS, EpochMs, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import type { Schedule } from "./Series.ts"
import { canonicalZone, instantOfLocal } from "./ZoneOffsets.ts"

/** A schedule or zone that is refused. */
export class ScheduleError extends Schema.TaggedError<ScheduleError>()("ScheduleError", {
  /** What was given, cut to 200 characters. */
  input: Schema.String,
  /** Index in the input of the first character at fault, where one can be named. */
  position: Schema.NullOr(Schema.Int),
  reason: Schema.String,
  remedy: Schema.String,
}) {
  override get message(): string {
    const at = this.position === null ? "" : ` (at character ${this.position + 1})`
    return `${JSON.stringify(this.input)} is refused: ${this.reason}${at}. ${this.remedy}`
  }
}

export const MAX_SCHEDULE_LENGTH = 200
/** The last millisecond of the year 9999: the last instant that four digits of a year can show, and that a slot can be. */
export const MAX_SLOT = 253_402_300_799_999
const MIN_INTERVAL_MS = SECOND_MS
/** As `Millis` allows: ten years. */
const MAX_INTERVAL_MS = 315_576_000_000

const FORMS =
  'Write an interval ("every 5m", "PT5M"), a cron expression ("0 9 * * 1-5", "@daily"), ' +
  'or an instant ("2026-12-01T09:00", "in 10m").'

/** What a reader of one form finds; `position` counts from the start of what it was given. */
interface Refusal {
  readonly reason: string
  readonly position: number | null
  readonly remedy: string
}

const refuse = (reason: string, position: number | null, remedy: string): Result.Result<never, Refusal> =>
  Result.fail({ reason, position, remedy })

const toError = (input: string, refusal: Refusal): ScheduleError =>
  new ScheduleError({ ...refusal, input: input.slice(0, MAX_SCHEDULE_LENGTH) })

/** The canonical IANA name of a zone, whatever its case or alias (`asia/calcutta` is `Asia/Kolkata`). */
export const validateZone = (zone: string): Result.Result<string, ScheduleError> => {
  const canonical = canonicalZone(zone)
  return canonical === null
    ? Result.fail(
        toError(zone, {
          reason: "there is no such time zone",
          position: null,
          remedy: 'Give an IANA name such as "Europe/Paris" or "UTC".',
        }),
      )
    : Result.succeed(canonical)
}

/**
 * Reads any form of schedule. `zone` is where cron fields and times without an offset are read; `now` anchors an interval, and
 * an instant must lie after it. A time in a gap of the zone means the first instant after the gap, a repeated one its first pass.
 */
export const parseSchedule = (
  text: string,
  options: { readonly zone: string; readonly now: EpochMs },
): Result.Result<Schedule, ScheduleError> => {
  const zone = validateZone(options.zone)
  if (Result.isFailure(zone)) return Result.fail(zone.failure)
  const fail = (refusal: Refusal) => Result.fail(toError(text, refusal))
  if (text.length > MAX_SCHEDULE_LENGTH)
    return fail({
      reason: `it is longer than ${MAX_SCHEDULE_LENGTH} characters`,
      position: MAX_SCHEDULE_LENGTH,
      remedy: "Write it shorter, or as several schedules.",
    })
  const trimmed = text.trim()
  if (trimmed === "") return fail({ reason: "it is empty", position: null, remedy: FORMS })
  const offset = text.indexOf(trimmed)
  const read = readForm(trimmed, zone.success, options.now)
  if (Result.isSuccess(read)) return Result.succeed(read.success)
  const { position } = read.failure
  return fail({ ...read.failure, position: position === null ? null : position + offset })
}

const readForm = (text: string, zone: string, now: EpochMs): Result.Result<Schedule, Refusal> => {
  const keyword = /^(every|in|once|at)(?:\s+|$)/i.exec(text)
  if (keyword !== null) {
    const skipped = keyword[0].length
    const rest = text.slice(skipped)
    const read =
      keyword[1]!.toLowerCase() === "every"
        ? readInterval(rest, now)
        : keyword[1]!.toLowerCase() === "in"
          ? readDelay(rest, now)
          : readInstant(rest, zone, now)
    return Result.mapError(read, (refusal) => ({
      ...refusal,
      position: refusal.position === null ? null : refusal.position + skipped,
    }))
  }
  if (/^[+-]?P/i.test(text) || /^\d+$/.test(text)) return readInterval(text, now)
  if (/^\d{4}-/.test(text)) return readInstant(text, zone, now)
  const cron = parseCron(text)
  if (Result.isSuccess(cron))
    return Result.succeed({ _tag: "Cron", expression: cron.success.expression, zone })
  // One or two words that are no cron at all are better told what there is than how many fields are missing.
  const fieldCount = text.split(/\s+/).length
  if (fieldCount < 3 && !text.startsWith("@"))
    return refuse(
      "it is neither an interval, nor a cron expression, nor an instant",
      0,
      Result.isSuccess(readDuration(text)) ? `Write "every ${text}" or "in ${text}".` : FORMS,
    )
  return refuse(
    cron.failure.reason,
    cron.failure.position,
    text.startsWith("@")
      ? "Use @hourly, @daily, @weekly, @monthly or @yearly."
      : cron.failure.reason.startsWith("it never fires")
        ? "Choose a day that one of its months has."
        : "The fields are: [second] minute hour day-of-month month day-of-week.",
  )
}

const readInterval = (text: string, now: EpochMs): Result.Result<Schedule, Refusal> => {
  const length = /^\d+$/.test(text) ? Result.succeed(Number(text)) : readDuration(text)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  if (length.success < MIN_INTERVAL_MS)
    return refuse("the interval is shorter than one second", 0, 'The shortest is "every 1s", or "1000".')
  if (length.success > MAX_INTERVAL_MS)
    return refuse("the interval is longer than ten years", 0, "Use a cron expression or an instant.")
  return Result.succeed({ _tag: "Interval", everyMs: length.success, anchor: now })
}

const readDelay = (text: string, now: EpochMs): Result.Result<Schedule, Refusal> => {
  const length = readDuration(text)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  if (length.success < 1 || length.success > MAX_INTERVAL_MS)
    return refuse("the delay must be more than nothing and at most ten years", 0, 'Example: "in 10m".')
  return Result.succeed({ _tag: "Once", at: now + length.success })
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: SECOND_MS,
  sec: SECOND_MS,
  second: SECOND_MS,
  m: MINUTE_MS,
  min: MINUTE_MS,
  minute: MINUTE_MS,
  h: HOUR_MS,
  hr: HOUR_MS,
  hour: HOUR_MS,
  d: DAY_MS,
  day: DAY_MS,
  w: 7 * DAY_MS,
  week: 7 * DAY_MS,
}
const UNIT_REMEDY = 'Use ms, s, m, h, d or w: "90s", "1h30m", "2 days", or ISO 8601: "PT5M".'
const CALENDAR_UNIT = /^(?:mo|month|months|y|yr|year|years)$/

/** A length of time in whole milliseconds: ISO 8601, `1h30m`, `2 hours and 5 minutes`, or a unit alone. */
const readDuration = (text: string): Result.Result<number, Refusal> => {
  if (text === "") return refuse("the length of time is missing", 0, UNIT_REMEDY)
  if (/^[+-]?P/i.test(text)) return readIsoDuration(text)
  const alone = unitOf(text)
  if (alone !== undefined) return Result.succeed(alone)
  const part = /(\d+(?:\.\d+)?)\s*([a-z]+)(?:\s*,\s*|\s+and\s+|\s*)/iy
  let total = 0
  let position = 0
  while (position < text.length) {
    part.lastIndex = position
    const match = part.exec(text)
    if (match === null) return refuse("this is no length of time", position, UNIT_REMEDY)
    const unit = unitOf(match[2]!)
    const unitPosition = position + match[0].indexOf(match[2]!)
    if (unit === undefined)
      return CALENDAR_UNIT.test(match[2]!.toLowerCase())
        ? refuse("months and years have no fixed length", unitPosition, "Use cron: @monthly, @yearly.")
        : refuse(`there is no unit "${match[2]}"`, unitPosition, UNIT_REMEDY)
    total += Number(match[1]) * unit
    position = part.lastIndex
  }
  return wholeMillis(total)
}

const unitOf = (word: string): number | undefined => {
  const name = word.toLowerCase()
  const unit = Object.hasOwn(UNITS, name) ? UNITS[name] : undefined
  if (unit !== undefined) return unit
  const singular = name.endsWith("s") && name.length > 3 ? name.slice(0, -1) : name
  return Object.hasOwn(UNITS, singular) ? UNITS[singular] : undefined
}

const readIsoDuration = (text: string): Result.Result<number, Refusal> => {
  const parsed = Duration.fromIso(text.toUpperCase())
  if (Option.isSome(parsed)) return wholeMillis(Duration.toMillis(parsed.value))
  return /^[+-]?P[^T]*[YM]/i.test(text)
    ? refuse("months and years have no fixed length", 0, "Use cron: @monthly, @yearly.")
    : refuse("this is no ISO 8601 duration", 0, 'Examples: "PT30S", "PT5M", "PT1H30M", "P1D", "P1W".')
}

const wholeMillis = (millis: number): Result.Result<number, Refusal> => {
  // 0.1 h is a whole number of milliseconds, but not after a multiplication of fractions.
  const rounded = Math.round(millis)
  return Math.abs(millis - rounded) < 1e-6
    ? Result.succeed(rounded)
    : refuse("it is not a whole number of milliseconds", 0, UNIT_REMEDY)
}

const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,3})\d*)?)?\s*(Z|[+-][01]\d(?::?[0-5]\d)?)?(?:\[([^\]]+)\])?$/i
const INSTANT_REMEDY =
  'Write "2026-12-01T09:00", with "Z" or an offset such as "+01:00" if it is not local time.'

/** An instant; without an offset in the given zone, or in the one that an RFC 9557 suffix (`[Europe/Paris]`) names. */
const readInstant = (text: string, zone: string, now: EpochMs): Result.Result<Schedule, Refusal> => {
  const match = INSTANT.exec(text)
  if (match === null)
    return /^\d{4}-\d\d-\d\d$/.test(text)
      ? refuse("the time of day is missing", text.length, `Add one: "${text}T09:00".`)
      : refuse("this is no date and time", 0, INSTANT_REMEDY)
  const part = (index: number) => Number(match[index] ?? 0)
  const [year, month, day] = [part(1), part(2), part(3)]
  const lastDay = new Map([...[4, 6, 9, 11].map((each) => [each, 30] as const), [2, isLeap(year) ? 29 : 28]])
  if (month < 1 || month > 12) return refuse(`there is no month ${match[2]}`, 5, INSTANT_REMEDY)
  if (day < 1 || day > (lastDay.get(month) ?? 31))
    return refuse(`there is no ${match[1]}-${match[2]}-${match[3]}`, 8, INSTANT_REMEDY)
  if (part(4) > 23) return refuse(`there is no hour ${match[4]}`, 11, INSTANT_REMEDY)
  if (part(5) > 59) return refuse(`there is no minute ${match[5]}`, 14, INSTANT_REMEDY)
  if (part(6) > 59) return refuse(`there is no second ${match[6]}`, 17, INSTANT_REMEDY)
  const local =
    Date.UTC(year, month - 1, day, part(4), part(5), part(6)) + Number((match[7] ?? "").padEnd(3, "0"))
  const named = match[9] === undefined ? zone : canonicalZone(match[9])
  if (named === null)
    return refuse(
      `there is no time zone "${match[9]}"`,
      text.indexOf("["),
      'Give an IANA name: "[Europe/Paris]".',
    )
  const at = match[8] === undefined ? instantOfLocal(named, local) : local - offsetOf(match[8])
  if (at !== null && at > MAX_SLOT) return refuse("it lies after the year 9999", 0, "Give an earlier one.")
  if (at === null || year < 1970 || at <= now)
    return refuse("this instant has passed", 0, "Give one in the future.")
  return Result.succeed({ _tag: "Once", at })
}

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const offsetOf = (text: string): number => {
  if (text.toUpperCase() === "Z") return 0
  const digits = text.slice(1).replace(":", "")
  const millis = Number(digits.slice(0, 2)) * HOUR_MS + Number(digits.slice(2) || 0) * MINUTE_MS
  return text.startsWith("-") ? -millis : millis
}
