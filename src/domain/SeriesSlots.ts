/**
 * The slots that a series really has: those of its schedule, within its start and end, without its excluded dates. An excluded
 * date is jumped over whole, so that a schedule of every second costs no more there than one of every day.
 */
import { formatExchangeTime, midnightOf } from "./ExchangeTime.ts"
import { DAY_MS, type EpochMs } from "./Instant.ts"
import { countSlots, nextSlot, previousSlot, slotsAfter } from "./Recurrence.ts"
import type { Series } from "./Series.ts"
import { instantOfLocal, spanAt } from "./ZoneOffsets.ts"

export type Slotted = Pick<Series, "schedule" | "zone" | "bounds">

/** The calendar date of an instant in a zone, as milliseconds of the midnight that a UTC clock with the same face would show. */
const localDay = (zone: string, instant: EpochMs): number => {
  const offsetMs = spanAt(zone, instant)?.offsetMs ?? 0
  return Math.floor((instant + offsetMs) / DAY_MS) * DAY_MS
}

const dateText = (localDayMs: number): string => formatExchangeTime(localDayMs).slice(0, 10)

const isExcluded = ({ exclusions }: Series["bounds"], localDayMs: number): boolean =>
  exclusions.includes(dateText(localDayMs))

/** The first slot of the series strictly after an instant; null when there is none. */
export const nextSlotOf = (series: Slotted, after: EpochMs): EpochMs | null =>
  nearestSlot(series, Math.max(after, (series.bounds.startAt ?? 0) - 1), 1)

/** The last slot of the series strictly before an instant; null when there is none. */
export const previousSlotOf = (series: Slotted, before: EpochMs): EpochMs | null =>
  nearestSlot(series, Math.min(before, (series.bounds.endAt ?? before) + 1), -1)

const nearestSlot = ({ bounds, schedule, zone }: Slotted, from: EpochMs, direction: 1 | -1) => {
  const { endAt, exclusions, startAt } = bounds
  let at = from
  // Each round that is not the last jumps over one excluded date.
  for (let round = 0; round <= exclusions.length; round++) {
    const slot = direction === 1 ? nextSlot(schedule, at) : previousSlot(schedule, at)
    if (slot === null || slot > (endAt ?? slot) || slot < (startAt ?? slot)) return null
    const day = localDay(zone, slot)
    if (exclusions.length === 0 || !isExcluded(bounds, day)) return slot
    at =
      direction === 1
        ? (instantOfLocal(zone, day + DAY_MS) ?? slot + DAY_MS) - 1
        : (instantOfLocal(zone, day) ?? slot - DAY_MS)
  }
  return null
}

/** The next slots after an instant, at most `count`. */
export const previewOf = (series: Slotted, after: EpochMs, count: number): ReadonlyArray<EpochMs> =>
  slotsAfter((last) => nextSlotOf(series, last), after, count)

/** How many slots lie after one instant and up to another, included: those of the schedule, less those of excluded dates. */
export const countSlotsOf = ({ bounds, schedule, zone }: Slotted, after: EpochMs, until: EpochMs): number => {
  const from = Math.max(after, (bounds.startAt ?? 0) - 1)
  const to = Math.min(until, bounds.endAt ?? until)
  const excluded = [...new Set(bounds.exclusions)].map((date) => {
    const [year = 0, month = 0, ofMonth = 0] = date.split("-").map(Number)
    const day = midnightOf(year, month, ofMonth)
    // A date that no month has excludes nothing.
    if (day === null) return 0
    const begin = instantOfLocal(zone, day) ?? day
    const end = instantOfLocal(zone, day + DAY_MS) ?? day + DAY_MS
    const [first, last] = [Math.max(from, begin - 1), Math.min(to, end - 1)]
    return first < last ? countSlots(schedule, first, last) : 0
  })
  return excluded.reduce((count, each) => count - each, from < to ? countSlots(schedule, from, to) : 0)
}

/** Whether an instant lies within the bounds of the series, on its grid or not. */
export const isWithinBounds = (series: Pick<Series, "zone" | "bounds">, instant: EpochMs): boolean => {
  const { endAt, exclusions, startAt } = series.bounds
  return (
    (startAt === null || instant >= startAt) &&
    (endAt === null || instant <= endAt) &&
    (exclusions.length === 0 || !isExcluded(series.bounds, localDay(series.zone, instant)))
  )
}

/** Whether an instant is a slot of the series. */
export const isSlot = (series: Slotted, instant: EpochMs): boolean =>
  nextSlotOf(series, instant - 1) === instant
