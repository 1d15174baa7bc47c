/**
 * Conformance: a year of slots in zones with every kind of clock change, against an oracle that walks the zone minute by minute and
 * knows nothing of the implementation: it asks Intl for the wall clock and matches fields on its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { nextSlot, parseSchedule, previousSlot } from "../../src/domain/Recurrence.ts"
import type { Schedule } from "../../src/domain/Series.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** `clock[n]` is the wall clock (as minutes since 1970, as if it were UTC) at `startMs + n` minutes. */
interface ZoneYear {
  readonly zone: string
  readonly year: number
  readonly startMs: number
  readonly clock: Int32Array
}

const walkZone = (zone: string, year: number): ZoneYear => {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  })
  const read = (instant: number): number => {
    const [month, day, full, hour, minute] = format.format(instant).match(/\d+/g)!.map(Number)
    return Date.UTC(full!, month! - 1, day!, hour!, minute!) / MINUTE
  }
  const startMs = Date.UTC(year, 0, 1)
  const clock = new Int32Array((Date.UTC(year + 1, 0, 1) - startMs) / MINUTE)
  for (let hour = 0; hour < clock.length; hour += 60) {
    const first = read(startMs + hour * MINUTE)
    // An hour that took sixty minutes on the wall clock has no change in it; the others are read minute by minute.
    const plain = read(startMs + (hour + 60) * MINUTE) - first === 60
    for (let minute = 0; minute < 60; minute++)
      clock[hour + minute] = plain ? first + minute : read(startMs + (hour + minute) * MINUTE)
  }
  return { zone, year, startMs, clock }
}

/** Which values of a field match, by index. */
const fieldValues = (text: string, low: number, high: number): ReadonlyArray<boolean> => {
  const values = Array.from({ length: high + 1 }, () => false)
  for (const item of text.split(",")) {
    const [range, step] = item.split("/")
    const [from, to] = range === "*" ? [low, high] : range!.split("-").map(Number)
    for (let value = from!; value <= (to ?? from!); value += Number(step ?? 1)) values[value] = true
  }
  return values
}

/** Whether a day of the month is one that the item names: `L`, `L-2`, `LW`, `15W`, or plain values. */
const namesDate = (item: string, utc: Date): boolean => {
  const day = utc.getUTCDate()
  const monthOf = (date: number) => new Date(Date.UTC(utc.getUTCFullYear(), utc.getUTCMonth(), date))
  const last = new Date(Date.UTC(utc.getUTCFullYear(), utc.getUTCMonth() + 1, 0)).getUTCDate()
  if (item.endsWith("W")) {
    const wanted = item === "LW" ? last : Number.parseInt(item, 10)
    if (wanted > last) return false
    // The nearest of all weekdays of the month; the earlier one of two is never as near.
    const weekdays = Array.from({ length: last }, (_, n) => n + 1).filter(
      (each) => monthOf(each).getUTCDay() % 6 !== 0,
    )
    const near = weekdays.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0]
    return day === near
  }
  if (item.startsWith("L")) return day === last - Number(item.slice(2))
  return fieldValues(item, 1, 31)[day] === true
}

/** Whether it is a day of the week that the item names: `5L`, `1#3`, or plain values. */
const namesWeekday = (item: string, utc: Date): boolean => {
  const day = utc.getUTCDate()
  if (!/[L#]/.test(item)) return fieldValues(item, 0, 6)[utc.getUTCDay()] === true
  if (Number(item[0]) !== utc.getUTCDay()) return false
  if (item.includes("#")) return Math.ceil(day / 7) === Number(item[2])
  return new Date(utc.getTime() + 7 * 24 * HOUR).getUTCMonth() !== utc.getUTCMonth()
}

/** Five fields without names, on a wall-clock minute. Days as crontab(5) combines them. */
const matcher = (expression: string): ((wall: number) => boolean) => {
  const [minutes, hours, days, months, weekdays] = expression.split(" ")
  const minuteSet = fieldValues(minutes!, 0, 59)
  const hourSet = fieldValues(hours!, 0, 23)
  const monthSet = fieldValues(months!, 1, 12)
  const dates = new Map<number, boolean>()
  const dateMatches = (date: number): boolean => {
    const utc = new Date(date * 24 * HOUR)
    const byDay = days!.split(",").some((item) => namesDate(item, utc))
    const byWeekday = weekdays!.split(",").some((item) => namesWeekday(item, utc))
    const either = !days!.startsWith("*") && !weekdays!.startsWith("*")
    return monthSet[utc.getUTCMonth() + 1]! && (either ? byDay || byWeekday : byDay && byWeekday)
  }
  return (wall) => {
    if (!minuteSet[wall % 60] || !hourSet[Math.floor(wall / 60) % 24]) return false
    const date = Math.floor(wall / 1440)
    let matches = dates.get(date)
    if (matches === undefined) {
      matches = dateMatches(date)
      dates.set(date, matches)
    }
    return matches
  }
}

type Hours = "fixed" | "elapsed"

const oracle = (year: ZoneYear, expression: string, hours: Hours): ReadonlyArray<number> => {
  const matches = matcher(expression)
  const slots: Array<number> = []
  let shown = year.clock[0]! - 1
  let latestShown = shown
  for (const [index, wall] of year.clock.entries()) {
    const skipped = wall - shown - 1
    let fires = matches(wall) && (hours === "elapsed" || wall > latestShown)
    for (let missing = shown + 1; !fires && missing < wall; missing++)
      fires = matches(missing) && (hours === "fixed" || !matches(missing + skipped))
    if (fires) slots.push(year.startMs + index * MINUTE)
    shown = wall
    latestShown = Math.max(latestShown, wall)
  }
  return slots
}

const EXPRESSIONS: ReadonlyArray<readonly [expression: string, hours: Hours]> = [
  // Inside the gaps: 02:00 to 03:00, Lord Howe 02:00 to 02:30, Cairo 00:00 to 01:00, St John's (2010) 00:01 to 01:01.
  ["30 2 * * *", "fixed"],
  ["15 2 * * *", "fixed"],
  ["*/10 2 * * *", "fixed"],
  ["0 2,3 * * *", "fixed"],
  ["30 1-3 * * *", "fixed"],
  // Inside the repeated stretches.
  ["30 1 * * *", "fixed"],
  ["45 1 * * *", "fixed"],
  ["*/20 1 * * *", "fixed"],
  ["0 1,2 * * *", "fixed"],
  // Around midnight.
  ["0 0 * * *", "fixed"],
  ["30 0 * * *", "fixed"],
  ["30 23 * * *", "fixed"],
  ["1,59 0,23 * * *", "fixed"],
  // Wildcards and steps.
  ["0 * * * *", "elapsed"],
  ["15 * * * *", "elapsed"],
  ["*/30 * * * *", "elapsed"],
  ["*/7 * * * *", "elapsed"],
  ["5,50 0-23 * * *", "elapsed"],
  ["0 */2 * * *", "elapsed"],
  ["30 */3 * * *", "elapsed"],
  ["20 1-23/2 * * *", "elapsed"],
  // Several a day, days of the week and of the month.
  ["0 9,12,18 * * 1-5", "fixed"],
  ["0 2 * * 0", "fixed"],
  ["0 9 13 * 5", "fixed"],
  ["30 1 1-7 3,11 0", "fixed"],
  ["0 * 30 12 *", "elapsed"],
  ["0 12 30,31 12 *", "fixed"],
  ["0 9 */2 * 1", "fixed"],
  ["30 2 */2 * *", "fixed"],
  ["0 9 1-31/2 * 1", "fixed"],
  ["0 9 13 * */5", "fixed"],
  // What only the calendar can tell.
  ["30 2 LW * *", "fixed"],
  ["30 1 15W,1W,31W * *", "fixed"],
  ["0 9 L,L-2,L-29 * *", "fixed"],
  ["0 0 * * 1#1,3#3,5L", "fixed"],
  ["0 * LW * 0#2", "elapsed"],
]

const cron = (expression: string, zone: string): Schedule =>
  Result.getOrThrow(parseSchedule(expression, { zone, now: 0 }))

/** The index of the first slot after an instant. */
const firstAfter = (slots: ReadonlyArray<number>, instant: number): number => {
  let low = 0
  let high = slots.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (slots[middle]! > instant) high = middle
    else low = middle + 1
  }
  return low
}

const iso = (instants: ReadonlyArray<number | null | undefined>) =>
  instants.map((instant) => (typeof instant === "number" ? new Date(instant).toISOString() : instant))

/** The first place where two lists differ, with its neighbours, or null. */
const firstDifference = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  for (let index = 0; index < Math.max(actual.length, expected.length); index++)
    if (actual[index] !== expected[index])
      return {
        actual: iso(actual.slice(Math.max(index - 1, 0), index + 3)),
        expected: iso(expected.slice(Math.max(index - 1, 0), index + 3)),
      }
  return null
}

const YEARS = [
  ["America/New_York", 2026, [60, -60]],
  ["Europe/London", 2026, [60, -60]],
  ["Africa/Cairo", 2026, [60, -60]],
  ["Australia/Lord_Howe", 2026, [-30, 30]],
  ["Asia/Kolkata", 2026, []],
  ["America/St_Johns", 2026, [60, -60]],
  ["America/St_Johns", 2010, [60, -60]],
  ["Pacific/Apia", 2011, [-60, 60, 24 * 60]],
  ["Pacific/Apia", 2013, [-60, 60]],
] as const

describe.each(YEARS)("%s in %i", (zone, year, changes) => {
  const zoneYear = walkZone(zone, year)
  const { clock, startMs } = zoneYear
  const endMs = startMs + clock.length * MINUTE
  const walked = new Map<string, ReadonlyArray<number>>()
  const slotsOf = (expression: string, hours: Hours): ReadonlyArray<number> => {
    const slots = walked.get(expression) ?? oracle(zoneYear, expression, hours)
    walked.set(expression, slots)
    return slots
  }
  const transitions = [...clock.keys()].filter((n) => n > 0 && clock[n]! - clock[n - 1]! !== 1)

  it("changes its clock as this suite supposes", () => {
    assert.deepStrictEqual(
      transitions.map((n) => clock[n]! - clock[n - 1]! - 1),
      [...changes],
    )
  })

  it.each(EXPRESSIONS)("%s has exactly the oracle's slots, forwards and backwards", (expression, hours) => {
    const schedule = cron(expression, zone)
    const expected = slotsOf(expression, hours)

    const forwards: Array<number> = []
    let after: number | null = nextSlot(schedule, startMs - 1)
    while (after !== null && after < endMs) {
      forwards.push(after)
      after = nextSlot(schedule, after)
    }
    assert.isNull(firstDifference(forwards, expected))

    const backwards: Array<number> = []
    let before: number | null = previousSlot(schedule, endMs)
    while (before !== null && before >= startMs) {
      backwards.push(before)
      before = previousSlot(schedule, before)
    }
    assert.isNull(firstDifference(backwards.toReversed(), expected))
  })

  it("asked at any instant around a change, next and previous are the oracle's neighbours", () => {
    for (const [expression, hours] of EXPRESSIONS) {
      const schedule = cron(expression, zone)
      const slots = slotsOf(expression, hours)
      for (const transition of transitions)
        for (let minute = transition - 150; minute <= transition + 150; minute++)
          for (const extra of [0, 1, 30_500]) {
            const instant = startMs + minute * MINUTE + extra
            const index = firstAfter(slots, instant)
            const expectedNext = slots[index]
            if (expectedNext !== undefined)
              assert.strictEqual(nextSlot(schedule, instant), expectedNext, `${expression} after ${instant}`)
            // The slot before is at or before the instant; strictly before it when the instant is a slot itself.
            const expectedLast = slots[index - 1] === instant ? slots[index - 2] : slots[index - 1]
            if (expectedLast !== undefined)
              assert.strictEqual(
                previousSlot(schedule, instant),
                expectedLast,
                `${expression} before ${instant}`,
              )
          }
    }
  })
})
