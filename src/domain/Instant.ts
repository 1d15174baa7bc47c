/**
 * Instants and lengths of time as whole milliseconds. Inside, an instant is always an integer (milliseconds since 1970,
 * UTC); text exists only at the exchange boundary (`ExchangeTime.ts`) and in front of people.
 */
import { Schema } from "effect"

/** The largest instant that a JavaScript `Date` can show: year 275760. */
export const MAX_EPOCH_MS = 8_640_000_000_000_000

/** Milliseconds since 1970-01-01T00:00:00Z. */
export const EpochMs = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: MAX_EPOCH_MS }))
export type EpochMs = typeof EpochMs.Type

/** Ten years: no wait is longer. */
export const MAX_MILLIS = 315_576_000_000
/** A length of time in milliseconds: zero to ten years. */
export const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: MAX_MILLIS }))
export type Millis = typeof Millis.Type

export const SECOND_MS = 1_000
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/**
 * A length of time, doubled so many times. Doubled fifty times, a millisecond is longer than any limit; the bound keeps 0 from becoming
 * NaN.
 */
export const doubled = (baseMs: number, times: number): number =>
  baseMs * 2 ** Math.min(Math.max(0, times), 50)

/** The earliest of some instants, ignoring those that are absent; `null` when none is left. */
export const earliest = (...instants: ReadonlyArray<EpochMs | null>): EpochMs | null => {
  let min: EpochMs | null = null
  for (const instant of instants) if (instant !== null && (min === null || instant < min)) min = instant
  return min
}
