/** Lengths of time and sizes as people write them, and back. Inside they are whole milliseconds and whole bytes. */
import { ByteSize, Option } from "effect"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../domain/Instant.ts"

const WEEK_MS = 7 * DAY_MS
/** 365.25 days: for showing limits only, because no one's year is that long. */
const YEAR_MS = 365.25 * DAY_MS

const unitNames: ReadonlyArray<readonly [ms: number, names: ReadonlyArray<string>]> = [
  [1, ["ms", "milli", "millis", "millisecond", "milliseconds"]],
  [SECOND_MS, ["s", "sec", "secs", "second", "seconds"]],
  [MINUTE_MS, ["m", "min", "mins", "minute", "minutes"]],
  [HOUR_MS, ["h", "hour", "hours"]],
  [DAY_MS, ["d", "day", "days"]],
  [WEEK_MS, ["w", "week", "weeks"]],
]
const msOfUnit = new Map(unitNames.flatMap(([ms, names]) => names.map((name) => [name, ms] as const)))

const wholeNumber = /^\d{1,15}$/
const durationText = /^(?:\d{1,15}(?:\.\d{1,6})?\s*[a-z]+\s*)+$/
const durationPart = /(\d+(?:\.\d+)?)\s*([a-z]+)/g

/** `300000`, `90s`, `1h 30m`, `1.5 hours`: milliseconds. `undefined` when it is none of that, or no whole number of them. */
export const parseDuration = (input: string): number | undefined => {
  const text = input.trim().toLowerCase()
  if (wholeNumber.test(text)) return Number(text)
  if (text.length > 100 || !durationText.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(durationPart)) {
    const ms = msOfUnit.get(unit ?? "")
    if (ms === undefined) return undefined
    total += Number(amount) * ms
  }
  // 0.1 minutes is 6000.000000000001 ms in floating point, and still a whole number to whoever wrote it.
  const rounded = Math.round(total)
  return Math.abs(total - rounded) < 1e-6 && Number.isSafeInteger(rounded) ? rounded : undefined
}

const shownUnits: ReadonlyArray<readonly [ms: number, name: string]> = [
  [YEAR_MS, "year"],
  [DAY_MS, "day"],
  [HOUR_MS, "hour"],
  [MINUTE_MS, "minute"],
  [SECOND_MS, "second"],
]

/** In the largest unit that divides it: `30 minutes`, `90 seconds`, `1500 ms`. */
export const formatDuration = (ms: number): string => {
  for (const [unitMs, name] of shownUnits) {
    if (ms >= unitMs && ms % unitMs === 0) {
      const count = ms / unitMs
      return `${count} ${name}${count === 1 ? "" : "s"}`
    }
  }
  return `${ms} ms`
}

/** `65536`, `64 KiB`, `5 MB`: bytes. `undefined` when it is none of that. */
export const parseBytes = (input: string): number | undefined => {
  const text = input.trim()
  if (wholeNumber.test(text)) return Number(text)
  return Option.getOrUndefined(Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber))
}

const shownSizes: ReadonlyArray<readonly [bytes: number, name: string]> = [
  [1024 ** 4, "TiB"],
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
]

/** In the largest binary unit that divides it: `1 GiB`, `1500 bytes`. */
export const formatBytes = (bytes: number): string => {
  for (const [size, name] of shownSizes) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${name}`
  }
  return `${bytes} byte${bytes === 1 ? "" : "s"}`
}
