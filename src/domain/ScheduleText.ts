/**
 * Schedules as people and agents write them, read into the canonical form that is stored. Everything that could be wrong with
 * a schedule is found here, when it is created, with the reason, the position and the remedy; a stored one can't fail later.
 */
import { Result, Schema } from "effect"
import { parseCron } from "./CronSchedule.ts"
import { parseDuration, parseDurationOrMillis } from "./DurationText.ts"
import { LAST_WRITABLE_MS, midnightOf, offsetOf } from "./ExchangeTime.ts"
import { EpochMs, HOUR_MS, MAX_MILLIS, MINUTE_MS, SECOND_MS } from "./Instant.ts"
import type { Schedule } from "./Series.ts"
import {
  describeProblem,
  MAX_QUOTED,
  refuseText as refuse,
  shifted,
  type TextProblem,
} from "./TextProblem.ts"
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
const TOO_LONG = `it is longer than ${MAX_SCHEDULE_LENGTH} characters`
/** The last millisecond of the year 9999: the last instant that four digits of a year can show, and that a slot can be. */
export const MAX_SLOT = LAST_WRITABLE_MS

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
  const trimmed = text.trim()
  const read =
    text.length > MAX_SCHEDULE_LENGTH
      ? refuse(TOO_LONG, MAX_SCHEDULE_LENGTH, "Write it shorter, or as several schedules.")
      : shifted(readForm(trimmed, zone.success, options.now), text.indexOf(trimmed))
  return Result.mapError(read, (problem) => toError(text, problem))
}

const readForm = (text: string, zone: string, now: EpochMs): Result.Result<Schedule, TextProblem> => {
  if (text === "") return refuse("it is empty", null, FORMS)
  const keyword = /^(every|in|once|at)(?:\s+|$)/i.exec(text)
  if (keyword !== null) {
    const [{ length: skipped }, word] = keyword
    const rest = text.slice(skipped)
    const readers: Readonly<Record<string, typeof readInstant>> = { every: readInterval, in: readDelay }
    const read = readers[word!.toLowerCase()] ?? readInstant
    return shifted(read(rest, now, zone), skipped)
  }
  if (/^[+-]?P/i.test(text) || /^\d+$/.test(text)) return readInterval(text, now)
  if (/^\d{4}-/.test(text)) return readInstant(text, now, zone)
  const cron = parseCron(text)
  if (Result.isSuccess(cron))
    return Result.succeed({ _tag: "Cron", expression: cron.success.expression, zone })
  // One or two words that are no cron at all are better told what there is than how many fields are missing.
  const fieldCount = text.split(/\s+/).length
  if (fieldCount > 2 || text.startsWith("@")) return Result.fail(cron.failure)
  return refuse(
    "it is neither an interval, nor a cron expression, nor an instant",
    0,
    Result.isSuccess(readLength(text, parseDuration)) ? `Write "every ${text}" or "in ${text}".` : FORMS,
  )
}

/** A unit alone is one of it: "every minute". */
const readLength = (text: string, parse: typeof parseDuration): ReturnType<typeof parseDuration> =>
  /^(?!P)[a-z]+$/i.test(text)
    ? Result.mapError(parse(`1${text}`), (problem) => ({ ...problem, position: 0 }))
    : parse(text)

const readInterval = (text: string, now: EpochMs) =>
  Result.flatMap(readLength(text, parseDurationOrMillis), (everyMs): Result.Result<Schedule, TextProblem> => {
    if (everyMs < SECOND_MS)
      return refuse("the interval is shorter than one second", 0, 'The shortest is "every 1s", or "1000".')
    if (everyMs > MAX_MILLIS)
      return refuse("the interval is longer than ten years", 0, "Use a cron expression or an instant.")
    return Result.succeed({ _tag: "Interval", everyMs, anchor: now })
  })

const readDelay = (text: string, now: EpochMs) =>
  Result.flatMap(readLength(text, parseDuration), (delayMs): Result.Result<Schedule, TextProblem> =>
    delayMs < 1 || delayMs > MAX_MILLIS
      ? refuse("the delay must be more than nothing and at most ten years", 0, 'Example: "in 10m".')
      : Result.succeed({ _tag: "Once", at: now + delayMs }),
  )

const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,3})\d*)?)?\s*(Z|[+-][01]\d(?::?[0-5]\d)?)?(?:\[([^\]]+)\])?$/i
const INSTANT_REMEDY =
  'Write "2026-12-01T09:00", with "Z" or an offset such as "+01:00" if it is not local time.'

/** An instant; without an offset in the given zone, or in the one that an RFC 9557 suffix (`[Europe/Paris]`) names. */
const readInstant = (text: string, now: EpochMs, zone: string): Result.Result<Schedule, TextProblem> => {
  const match = INSTANT.exec(text)
  if (match === null)
    return /^\d{4}-\d\d-\d\d$/.test(text)
      ? refuse("the time of day is missing", text.length, `Add one: "${text}T09:00".`)
      : refuse("this is no date and time", 0, INSTANT_REMEDY)
  const part = (index: number) => Number(match[index] ?? 0)
  const [year, month, day] = [part(1), part(2), part(3)]
  const midnight = midnightOf(year, month, day)
  if (month < 1 || month > 12) return refuse(`there is no month ${match[2]}`, 5, INSTANT_REMEDY)
  if (midnight === null) return refuse(`there is no ${match[1]}-${match[2]}-${match[3]}`, 8, INSTANT_REMEDY)
  if (part(4) > 23) return refuse(`there is no hour ${match[4]}`, 11, INSTANT_REMEDY)
  if (part(5) > 59) return refuse(`there is no minute ${match[5]}`, 14, INSTANT_REMEDY)
  if (part(6) > 59) return refuse(`there is no second ${match[6]}`, 17, INSTANT_REMEDY)
  const clockMs = part(4) * HOUR_MS + part(5) * MINUTE_MS + part(6) * SECOND_MS
  const local = midnight + clockMs + Number((match[7] ?? "").padEnd(3, "0"))
  const named = parseZone(match[9] ?? zone)
  if (Result.isFailure(named))
    return refuse(`there is no time zone "${match[9]}"`, text.indexOf("["), named.failure.remedy)
  const at = match[8] === undefined ? instantOfLocal(named.success, local) : local - (offsetOf(match[8]) ?? 0)
  if (at !== null && at > MAX_SLOT) return refuse("it lies after the year 9999", 0, "Give an earlier one.")
  if (at === null || at <= now) return refuse("this instant has passed", 0, "Give one in the future.")
  return Result.succeed({ _tag: "Once", at })
}
