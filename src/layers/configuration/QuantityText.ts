/** Sizes as people write them, and lengths of time and sizes as people read them. Inside they are whole milliseconds and whole bytes. */
import { ByteSize, Option } from "effect"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../domain/Instant.ts"

/** 365.25 days: for showing limits only, because no one's year is that long. */
const YEAR_MS = 365.25 * DAY_MS

type Units = ReadonlyArray<readonly [size: number, one: string, many: string]>

/** In the largest unit that divides it; the last one is the smallest. */
const shownIn = (units: Units) => (value: number) => {
  const [size, one, many] = units.find(([size]) => value >= size && value % size === 0) ??
    units.at(-1) ?? [1, "", ""]
  return `${value / size} ${value === size ? one : many}`
}

/** `30 minutes`, `90 seconds`, `1500 ms`. */
export const formatDuration = shownIn([
  [YEAR_MS, "year", "years"],
  [DAY_MS, "day", "days"],
  [HOUR_MS, "hour", "hours"],
  [MINUTE_MS, "minute", "minutes"],
  [SECOND_MS, "second", "seconds"],
  [1, "ms", "ms"],
])

/** `65536`, `64 KiB`, `5 MB`: bytes. `undefined` when it is none of that. */
export const parseBytes = (input: string): number | undefined => {
  const text = input.trim()
  if (/^\d{1,15}$/.test(text)) return Number(text)
  return Option.getOrUndefined(Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber))
}

/** `1 GiB`, `1500 bytes`. */
export const formatBytes = shownIn([
  [1024 ** 4, "TiB", "TiB"],
  [1024 ** 3, "GiB", "GiB"],
  [1024 ** 2, "MiB", "MiB"],
  [1024, "KiB", "KiB"],
  [1, "byte", "bytes"],
])
