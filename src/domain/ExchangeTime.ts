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
export const LAST_WRITABLE_MS = 253_402_300_799_999

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
  const midnight = midnightOf(Number(year), Number(month), Number(day))
  if (midnight === null) return unreadable(text, "names a day that does not exist")
  const clockMs = millisOfClock(clock ?? "")
  if (clockMs === null) return unreadable(text, "names a time of day that does not exist")
  const offsetMs = offsetOf(zone)
  if (offsetMs === null) return unreadable(text, "has an offset that does not exist")
  const at = midnight + clockMs + millisOfFraction(fraction) - offsetMs
  if (at < 0) return unreadable(text, "lies before 1970")
  // The dot counts: `.fff` is four characters.
  return Result.succeed({ at, precision: fraction !== undefined && fraction.length >= 4 ? "ms" : "s" })
}

/** `YYYY-MM-DDTHH:MM:SS.fffZ`. */
export const formatExchangeTime = (at: EpochMs): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.min(at, LAST_WRITABLE_MS)))

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

/** Milliseconds of `HH:MM[:SS]`; null when there is no such time (24:00 and leap seconds included). */
const millisOfClock = (text: string): number | null => {
  const [hour = 0, minute = 0, second = 0] = text.split(":").map(Number)
  if (hour > 23 || minute > 59 || second > 59) return null
  return hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS
}

const millisOfFraction = (fraction: string | undefined): number =>
  fraction === undefined ? 0 : Number(fraction.slice(1, 4).padEnd(3, "0"))

/** Milliseconds of `Z`, `±hh:mm`, `±hhmm` or `±hh`; null when there is no such offset. */
export const offsetOf = (zone: string | undefined): number | null => {
  if (zone === undefined || zone.toUpperCase() === "Z") return 0
  const offset = millisOfClock(`${zone.slice(1, 3)}:${zone.slice(3).replace(":", "") || "00"}`)
  return offset !== null && zone.startsWith("-") ? -offset : offset
}

/** The calendar repeats after 400 years. */
const CYCLE_YEARS = 400
const CYCLE_MS = 146_097 * DAY_MS

/** The first instant of a day in UTC; null when no month has such a day. */
export const midnightOf = (year: number, month: number, day: number): EpochMs | null => {
  // One cycle later, because `Date.UTC` takes the first hundred years for those of another century.
  const at = Date.UTC(year + CYCLE_YEARS, month - 1, day)
  const exists = month >= 1 && month <= 12 && day >= 1 && at < Date.UTC(year + CYCLE_YEARS, month)
  return exists ? at - CYCLE_MS : null
}
