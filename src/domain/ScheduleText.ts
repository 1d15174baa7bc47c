/**
 * Schedules as people and agents write them, read into the canonical form that is stored. Everything that could be wrong with
 * a schedule is found here, when it is created, with the reason, the position and the remedy; a stored one can't fail later.
 */
import { Result, Schema } from "effect"
import { parseCron } from "./CronSchedule.ts"
import { parseDuration, parseDurationOrMillis } from "./DurationText.ts"
import { EpochMs, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import type { Schedule } from "./Series.ts"
import { describeProblem, MAX_QUOTED, refuseText as refuse, type TextProblem } from "./TextProblem.ts"
import { parseZone } from "./Zone.ts"
import { instantOfLocal } from "./ZoneOffsets.ts"

/** A schedule, or the zone that it was to be read in, that is refused. */
export class ScheduleError extends Schema.TaggedError<ScheduleError>()("ScheduleError", {
  /** What was given, cut to 200 characters. */
  input: Schema.String,
  /** Index in the input of the first character at fault, where one can be named. */
  position: Schema.NullOr(Schema.Int),
  reason: Schema.String,
  remedy: Schema.String,
}) {
  override get message(): string {
    return describeProblem(this.input, this)
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

const toError = (input: string, problem: TextProblem): ScheduleError =>
  new ScheduleError({ ...problem, input: input.slice(0, MAX_QUOTED) })

/**
 * Reads any form of schedule. `zone` is where cron fields and times without an offset are read; `now` anchors an interval, and
 * an instant must lie after it. A time in a gap of the zone means the first instant after the gap, a repeated one its first pass.
 */
export const parseSchedule = (
  text: string,
  options: { readonly zone: string; readonly now: EpochMs },
): Result.Result<Schedule, ScheduleError> => {
  const zone = parseZone(options.zone)
  if (Result.isFailure(zone)) return Result.fail(toError(options.zone, zone.failure))
  const fail = (problem: TextProblem) => Result.fail(toError(text, problem))
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

const readForm = (text: string, zone: string, now: EpochMs): Result.Result<Schedule, TextProblem> => {
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
    return Result.mapError(read, (problem) => ({
      ...problem,
      position: problem.position === null ? null : problem.position + skipped,
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
      Result.isSuccess(readLength(text, parseDuration)) ? `Write "every ${text}" or "in ${text}".` : FORMS,
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

/** A unit alone is one of it: "every minute". */
const readLength = (text: string, parse: typeof parseDuration): ReturnType<typeof parseDuration> =>
  /^(?!P)[a-z]+$/i.test(text)
    ? Result.mapError(parse(`1${text}`), (problem) => ({ ...problem, position: 0 }))
    : parse(text)

const readInterval = (text: string, now: EpochMs): Result.Result<Schedule, TextProblem> => {
  const length = readLength(text, parseDurationOrMillis)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  if (length.success < MIN_INTERVAL_MS)
    return refuse("the interval is shorter than one second", 0, 'The shortest is "every 1s", or "1000".')
  if (length.success > MAX_INTERVAL_MS)
    return refuse("the interval is longer than ten years", 0, "Use a cron expression or an instant.")
  return Result.succeed({ _tag: "Interval", everyMs: length.success, anchor: now })
}

const readDelay = (text: string, now: EpochMs): Result.Result<Schedule, TextProblem> => {
  const length = readLength(text, parseDuration)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  if (length.success < 1 || length.success > MAX_INTERVAL_MS)
    return refuse("the delay must be more than nothing and at most ten years", 0, 'Example: "in 10m".')
  return Result.succeed({ _tag: "Once", at: now + length.success })
}

const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,3})\d*)?)?\s*(Z|[+-][01]\d(?::?[0-5]\d)?)?(?:\[([^\]]+)\])?$/i
const INSTANT_REMEDY =
  'Write "2026-12-01T09:00", with "Z" or an offset such as "+01:00" if it is not local time.'

/** An instant; without an offset in the given zone, or in the one that an RFC 9557 suffix (`[Europe/Paris]`) names. */
const readInstant = (text: string, zone: string, now: EpochMs): Result.Result<Schedule, TextProblem> => {
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
  const named = parseZone(match[9] ?? zone)
  if (Result.isFailure(named))
    return refuse(`there is no time zone "${match[9]}"`, text.indexOf("["), named.failure.remedy)
  const at = match[8] === undefined ? instantOfLocal(named.success, local) : local - offsetOf(match[8])
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
