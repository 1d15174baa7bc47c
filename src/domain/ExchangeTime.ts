/**
 * Instants as text, at the exchange boundary: what containers write, and what the host writes for them. Text without a zone is
 * UTC, never local time, wherever the host stands; so no date library that might think otherwise is asked.
 */
import { DateTime, Option, Result, Schema } from "effect"
import { DAY_MS, type EpochMs, HOUR_MS, MINUTE_MS, SECOND_MS } from "./Instant.ts"

/** `precision: "s"`: the text was cut, and stands for any instant of the second that begins at `at`. */
export interface ExchangeTime {
  readonly at: EpochMs
  readonly precision: "ms" | "s"
}

export class UnreadableTime extends Schema.TaggedError<UnreadableTime>()("UnreadableTime", {
  message: Schema.String,
}) {}

/** The end of year 9999: the last instant with a four-digit year. Later ones are written as this one. */
const LAST_WRITABLE_MS = 253_402_300_799_999

const SHAPE = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?(?: ?([Zz]|[+-]\d{2}:?\d{2}))?$/

/** Long enough for any accepted text; longer ones are not looked at. */
const MAX_LENGTH = 40

/**
 * Reads `YYYY-MM-DD`, a space or `T`, `HH:MM:SS[.fff]`, and a zone if there is one: `Z`, `±hh:mm` or `±hhmm`, with a
 * space before it or none. Fractions of up to nine digits are cut to the millisecond, and with fewer than three the precision
 * is "s". Refuses everything else: days and times that don't exist, instants before 1970 (`EpochMs` starts there), zones in brackets.
 */
export const parseExchangeTime = (text: string): Result.Result<ExchangeTime, UnreadableTime> => {
  const match = text.length > MAX_LENGTH ? null : SHAPE.exec(text)
  if (match === null) return unreadable(text, "is not of that form")
  const [, year, month, day, clock, fraction, zone] = match
  const days = daysFromCivil(Number(year), Number(month), Number(day))
  if (days === null) return unreadable(text, "names a day that does not exist")
  const clockMs = millisOfClock(clock ?? "", 3)
  if (clockMs === null) return unreadable(text, "names a time of day that does not exist")
  const offsetMs = offsetOf(zone)
  if (offsetMs === null) return unreadable(text, "has an offset that does not exist")
  const at = days * DAY_MS + clockMs + millisOfFraction(fraction) - offsetMs
  if (at < 0) return unreadable(text, "lies before 1970")
  // The dot counts: `.fff` is four characters.
  return Result.succeed({ at, precision: fraction !== undefined && fraction.length >= 4 ? "ms" : "s" })
}

/** `YYYY-MM-DDTHH:MM:SS.fffZ`. */
export const formatExchangeTime = (at: EpochMs): string => {
  const instant = Math.min(at, LAST_WRITABLE_MS)
  return `${dateText(instant)}T${clockText(instant)}.${digits(instant % SECOND_MS, 3)}Z`
}

/**
 * RFC 9557, e.g. `2026-03-29T03:30:00+02:00[Europe/Paris]`; a fraction only where there is one. There is always a zone in brackets,
 * so that SQLite's `datetime()` can't read it. A zone that is unknown here is shown as UTC.
 */
export const formatZoned = (at: EpochMs, zone: string): string => {
  const instant = Math.min(at, LAST_WRITABLE_MS - DAY_MS)
  const known = DateTime.makeZoned(instant, { timeZone: zone })
  const zoned = Option.getOrElse(known, () => DateTime.makeZonedUnsafe(instant, { timeZone: "UTC" }))
  const local = DateTime.formatIsoOffset(zoned)
  const text = instant % SECOND_MS === 0 ? local.replace(".000", "") : local
  // The name as it was given: the platform's own for it may be an old alias (Asia/Calcutta).
  return `${text}[${Option.isSome(known) ? zone : "UTC"}]`
}

const unreadable = (text: string, why: string): Result.Result<never, UnreadableTime> =>
  Result.fail(
    new UnreadableTime({
      message: `expected a time like '2026-03-29 01:30:00' (UTC) or '2026-03-29T03:30:00.000+02:00'; ${JSON.stringify(text.slice(0, MAX_LENGTH))} ${why}`,
    }),
  )

/** Milliseconds of `HH:MM[:SS]` with that many parts; null when there is no such time (24:00 and leap seconds included). */
const millisOfClock = (text: string, parts: 2 | 3): number | null => {
  const hour = Number(text.slice(0, 2))
  const minute = Number(text.slice(3, 5))
  const second = parts === 3 ? Number(text.slice(6, 8)) : 0
  if (hour > 23 || minute > 59 || second > 59) return null
  return hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS
}

const millisOfFraction = (fraction: string | undefined): number =>
  fraction === undefined ? 0 : Number(fraction.slice(1, 4).padEnd(3, "0"))

const offsetOf = (zone: string | undefined): number | null => {
  if (zone === undefined || zone.toUpperCase() === "Z") return 0
  const offset = millisOfClock(`${zone.slice(1, 3)}:${zone.slice(-2)}`, 2)
  if (offset === null) return null
  return zone.startsWith("-") ? -offset : offset
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar; null when there is no such day. */
const daysFromCivil = (year: number, month: number, day: number): number | null => {
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return null
  // Years that begin in March put the leap day last, and 400 of them are always the same number of days.
  const marchYear = month > 2 ? year : year - 1
  const era = Math.floor(marchYear / 400)
  const yearOfEra = marchYear - era * 400
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

const daysInMonth = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** `YYYY-MM-DD` of an instant, by the inverse of `daysFromCivil`. */
const dateText = (at: EpochMs): string => {
  const days = Math.floor(at / DAY_MS) + 719_468
  const era = Math.floor(days / 146_097)
  const dayOfEra = days - era * 146_097
  const leapDays =
    Math.floor(dayOfEra / 1_460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096)
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`
}

const clockText = (at: EpochMs): string => {
  const ofDay = at % DAY_MS
  const hour = Math.floor(ofDay / HOUR_MS)
  const minute = Math.floor((ofDay % HOUR_MS) / MINUTE_MS)
  const second = Math.floor((ofDay % MINUTE_MS) / SECOND_MS)
  return `${digits(hour, 2)}:${digits(minute, 2)}:${digits(second, 2)}`
}

const digits = (value: number, width: number): string => String(value).padStart(width, "0")
