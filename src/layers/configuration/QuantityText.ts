/** Sizes as people write them, and lengths of time and sizes as people read them. Inside they are whole milliseconds and whole bytes. */
import { ByteSize, Option } from "effect"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../domain/Instant.ts"

/** 365.25 days: for showing limits only, because no one's year is that long. */
const YEAR_MS = 365.25 * DAY_MS

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
  if (/^\d{1,15}$/.test(text)) return Number(text)
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
