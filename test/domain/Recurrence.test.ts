import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  describeSchedule,
  formatSchedule,
  MAX_PREVIEW,
  MAX_SLOT,
  nextSlot,
  parseSchedule,
  preview,
  previousSlot,
  ScheduleError,
} from "../../src/domain/Recurrence.ts"
import { parseZone } from "../../src/domain/Zone.ts"
import { Schedule } from "../../src/domain/Series.ts"

const at = (text: string): number => Date.parse(text)
const iso = (instant: number | null): string | null =>
  instant === null ? null : new Date(instant).toISOString().replace(".000Z", "Z")
const now = at("2026-01-01T00:00:00Z")
const newYork = "America/New_York"

const parse = (text: string, zone = newYork, from = now): Schedule =>
  Result.getOrThrow(parseSchedule(text, { zone, now: from }))
const slots = (text: string, zone: string, after: string, count: number) =>
  preview(parse(text, zone), at(after), count).map(iso)
const refusal = (text: string, zone = newYork): ScheduleError => {
  const parsed = parseSchedule(text, { zone, now })
  if (Result.isSuccess(parsed)) assert.fail(`${text} was accepted`)
  return parsed.failure
}

describe("parseSchedule accepts", () => {
  it.each([
    ["every 5m", 300_000],
    ["every 90 seconds", 90_000],
    ["every minute", 60_000],
    ["Every 1h30m", 5_400_000],
    ["every 1 hour and 30 minutes", 5_400_000],
    ["every 1.5h", 5_400_000],
    ["every PT5M", 300_000],
    ["PT5M", 300_000],
    ["P1DT12H", 129_600_000],
    ["P1W", 604_800_000],
    ["300000", 300_000],
    ["1000", 1000],
  ])("%s as an interval anchored now", (text, everyMs) => {
    assert.deepStrictEqual(parse(text), { _tag: "Interval", everyMs, anchor: now })
  })

  it.each([
    ["0 9 * * 1-5", "0 9 * * 1-5"],
    ["  0   9 * * mon-fri ", "0 9 * * MON-FRI"],
    ["0 0 9 * * *", "0 9 * * *"],
    ["30 0 9 * * *", "30 0 9 * * *"],
    ["0 9 ? * 5#3", "0 9 * * 5#3"],
    ["@daily", "0 0 * * *"],
    ["@midnight", "0 0 * * *"],
    ["@hourly", "0 * * * *"],
    ["@weekly", "0 0 * * 0"],
    ["@monthly", "0 0 1 * *"],
    ["@yearly", "0 0 1 1 *"],
    ["@Annually", "0 0 1 1 *"],
  ])("%s as cron", (text, expression) => {
    assert.deepStrictEqual(parse(text), { _tag: "Cron", expression, zone: newYork })
  })

  it.each([
    ["2026-12-01T09:00", "2026-12-01T14:00:00Z"],
    ["2026-12-01T09:00:30", "2026-12-01T14:00:30Z"],
    ["2026-12-01T09:00:30.25", "2026-12-01T14:00:30.250Z"],
    ["2026-12-01 09:00", "2026-12-01T14:00:00Z"],
    ["2026-12-01 09:00:00", "2026-12-01T14:00:00Z"],
    ["2026-12-01T09:00Z", "2026-12-01T09:00:00Z"],
    ["2026-12-01T09:00+05:30", "2026-12-01T03:30:00Z"],
    ["2026-12-01T09:00-0200", "2026-12-01T11:00:00Z"],
    ["2026-12-01T09:00[Asia/Kolkata]", "2026-12-01T03:30:00Z"],
    ["once 2026-12-01T09:00", "2026-12-01T14:00:00Z"],
    ["in 10m", "2026-01-01T00:10:00Z"],
    ["in 2 days", "2026-01-03T00:00:00Z"],
    // In the gap: the first instant after it. In the repeated hour: the first pass, unless the offset says which.
    ["2026-03-08T02:30", "2026-03-08T07:00:00Z"],
    ["2026-11-01T01:30", "2026-11-01T05:30:00Z"],
    ["2026-11-01T01:30-05:00", "2026-11-01T06:30:00Z"],
  ])("%s as one instant", (text, expected) => {
    const schedule = parse(text)
    assert.strictEqual(schedule._tag, "Once")
    assert.strictEqual(iso(nextSlot(schedule, now)), expected)
    assert.isNull(nextSlot(schedule, at(expected)))
  })

  it("a zone under any of its names, and stores the canonical one", () => {
    assert.deepStrictEqual(parse("@daily", "asia/calcutta"), {
      _tag: "Cron",
      expression: "0 0 * * *",
      zone: "Asia/Kolkata",
    })
    assert.deepStrictEqual(parseZone("US/Eastern"), Result.succeed("America/New_York"))
    assert.deepStrictEqual(parseZone("Europe/Kyiv"), Result.succeed("Europe/Kyiv"))
    assert.deepStrictEqual(parseZone("utc"), Result.succeed("UTC"))
  })
})

describe("parseSchedule refuses", () => {
  it.each<[string, number | null, RegExp]>([
    ["", null, /empty/],
    ["   ", null, /empty/],
    [`every ${"5".repeat(200)}m`, 200, /longer than 200/],
    ["0 0 30 2 *", 4, /never fires/],
    ["0 0 31 2,4,6,9,11 *", 4, /never fires/],
    ["61 * * * *", 0, /minute "61": .*0-59/],
    ["0 9,24 * * *", 4, /hour "24": .*0-23/],
    ["0 9 0 * *", 4, /day of month "0"/],
    ["0 9 * 13 *", 6, /month "13"/],
    ["0 9 * janfeb *", 6, /month "JANFEB"/],
    ["0 9 * * 8", 8, /day of week "8"/],
    ["0 9 * * 5#6", 8, /day of week "5#6"/],
    ["0 9 * * L", 8, /day of week "L"/],
    ["0 9 32W * *", 4, /day of month "32W"/],
    ["0 9 L-31 * *", 4, /day of month "L-31"/],
    ["0 9 1-5W * *", 4, /day of month "1-5W"/],
    ["0 9 * * 1#0", 8, /day of week "1#0"/],
    ["  0 9 * * 8", 10, /day of week "8"/],
    ["5-1 * * * *", 0, /range/],
    ["*/0 * * * *", 0, /step of 0/],
    ["*/90 * * * *", 0, /step of 90 is wider/],
    ["1,,2 * * * *", 2, /missing/],
    ["H * * * *", 0, /hashed/],
    ["* * * *", 7, /5 or 6 fields, found 4/],
    ["* * * * * * *", 12, /5 or 6 fields, found 7/],
    ["@reboot", 0, /no "@reboot"/],
    ["@daily 5", 7, /nothing may follow/],
    ["every", 5, /missing/],
    ["every 5 parsecs", 8, /no unit "parsecs"/],
    ["every 2 months", 8, /no fixed length/],
    ["every 5m then", 9, /no length of time/],
    ["P1M", 0, /no fixed length/],
    ["PT", 0, /ISO 8601/],
    ["-PT5M", 0, /shorter than one second/],
    ["PT0.5S", 0, /shorter than one second/],
    ["every 1s 0.5ms", 6, /whole number of milliseconds/],
    ["999", 0, /shorter than one second/],
    ["every 4000d", 6, /longer than ten years/],
    ["in 0s", 3, /more than nothing/],
    ["5m", 0, /neither/],
    ["tomorrow", 0, /neither/],
    ["2025-12-31T18:59", 0, /passed/],
    ["2026-01-01T00:00Z", 0, /passed/],
    ["0001-01-01T00:00", 0, /passed/],
    ["9999-12-31T23:00", 0, /after the year 9999/],
    ["2026-02-29T09:00", 8, /no 2026-02-29/],
    ["2026-13-01T09:00", 5, /no month 13/],
    ["2026-12-01T24:00", 11, /no hour 24/],
    ["2026-12-01T09:60", 14, /no minute 60/],
    ["2026-12-01", 10, /time of day is missing/],
    ["once soon", 5, /no date and time/],
    ["2026-12-01T09:00[Mars/Olympus]", 16, /no time zone/],
  ])("%j", (text, position, reason) => {
    const error = refusal(text)
    assert.strictEqual(error._tag, "ScheduleError")
    assert.match(error.reason, reason)
    assert.strictEqual(error.position, position)
    assert.isNotEmpty(error.remedy)
    assert.include(error.message, error.reason)
    assert.include(error.message, error.remedy)
  })

  it.each(["Mars/Olympus", "", "+01:00", " UTC", "A".repeat(100)])("the zone %j", (zone) => {
    assert.match(refusal("@daily", zone).reason, /no such time zone/)
    assert.isTrue(Result.isFailure(parseZone(zone)))
  })

  it("text of any length with a bounded message", () => {
    assert.isBelow(refusal("9".repeat(100_000)).message.length, 400)
  })
})

describe("daylight saving", () => {
  it("runs a fixed time inside the gap once, at the first instant after the gap", () => {
    assert.deepStrictEqual(slots("30 2 * * *", newYork, "2026-03-07T00:00:00Z", 3), [
      "2026-03-07T07:30:00Z",
      "2026-03-08T07:00:00Z",
      "2026-03-09T06:30:00Z",
    ])
    assert.deepStrictEqual(slots("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", 2), [
      "2026-10-03T15:30:00Z",
      "2026-10-04T15:15:00Z",
    ])
    assert.deepStrictEqual(slots("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2), [
      "2026-04-23T22:00:00Z",
      "2026-04-24T21:00:00Z",
    ])
  })

  it("makes one slot of all times inside one gap and the one at its end", () => {
    assert.deepStrictEqual(slots("0,20,40 2,3 * * *", newYork, "2026-03-08T06:59:00Z", 3), [
      "2026-03-08T07:00:00Z",
      "2026-03-08T07:20:00Z",
      "2026-03-08T07:40:00Z",
    ])
    assert.deepStrictEqual(slots("* 2 * * *", newYork, "2026-03-08T06:59:00Z", 2), [
      "2026-03-08T07:00:00Z",
      "2026-03-09T06:00:00Z",
    ])
    // The whole of December 30th is one gap in Apia.
    assert.deepStrictEqual(slots("0 9,12 * * *", "Pacific/Apia", "2011-12-29T22:00:00Z", 3), [
      "2011-12-30T10:00:00Z",
      "2011-12-30T19:00:00Z",
      "2011-12-30T22:00:00Z",
    ])
  })

  it("runs a fixed time inside the repeated hour once, in the first pass", () => {
    assert.deepStrictEqual(slots("30 1 * * *", newYork, "2026-11-01T00:00:00Z", 2), [
      "2026-11-01T05:30:00Z",
      "2026-11-02T06:30:00Z",
    ])
    assert.deepStrictEqual(slots("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2), [
      "2026-04-04T14:45:00Z",
      "2026-04-05T15:15:00Z",
    ])
  })

  it("fires nothing twice when asked again from any second of the repeated hour", () => {
    const schedule = parse("30 1 * * *")
    const firstPass = at("2026-11-01T05:30:00Z")
    for (let after = firstPass; after < at("2026-11-01T07:30:00Z"); after += 1000)
      assert.strictEqual(iso(nextSlot(schedule, after)), "2026-11-02T06:30:00Z")
    assert.strictEqual(previousSlot(schedule, at("2026-11-01T06:59:59Z")), firstPass)
  })

  it("keeps the real cadence of wildcard hours in both passes and across the gap", () => {
    for (const [text, step] of [
      ["0 * * * *", 3_600_000],
      ["15 * * * *", 3_600_000],
      ["*/30 * * * *", 1_800_000],
      ["* * * * *", 60_000],
    ] as const)
      for (const start of ["2026-03-08T04:00:00Z", "2026-11-01T03:00:00Z"]) {
        const seen = preview(parse(text), at(start), 8 * (3_600_000 / step))
        for (const [index, slot] of seen.entries())
          if (index > 0) assert.strictEqual(slot - seen[index - 1]!, step, `${text} at ${iso(slot)}`)
      }
  })

  it("lets no gap swallow the run of a step or of an hour that only half exists", () => {
    assert.deepStrictEqual(slots("0 */2 * * *", newYork, "2026-03-08T04:59:00Z", 3), [
      "2026-03-08T05:00:00Z",
      "2026-03-08T07:00:00Z",
      "2026-03-08T08:00:00Z",
    ])
    assert.deepStrictEqual(slots("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:29:00Z", 3), [
      "2026-10-03T14:30:00Z",
      "2026-10-03T15:30:00Z",
      "2026-10-03T16:00:00Z",
    ])
  })

  it("takes lists and plain ranges of hours as fixed times, and a step that leaves one hour too", () => {
    const after = "2026-11-01T05:10:00Z"
    assert.deepStrictEqual(slots("0 0-2 * * *", newYork, after, 1), ["2026-11-01T07:00:00Z"])
    assert.deepStrictEqual(slots("0 1/23 * * *", newYork, after, 1), ["2026-11-02T06:00:00Z"])
    // A step that leaves several does run in both passes.
    assert.deepStrictEqual(slots("0 1-23/2 * * *", newYork, after, 1), ["2026-11-01T06:00:00Z"])
  })
})

describe("nextSlot", () => {
  it("reads L, # and restricted days of both kinds as vixie cron does", () => {
    const after = "2026-02-01T00:00:00Z"
    assert.deepStrictEqual(slots("0 9 L * *", "UTC", after, 2), [
      "2026-02-28T09:00:00Z",
      "2026-03-31T09:00:00Z",
    ])
    assert.deepStrictEqual(slots("0 9 * * 5#3", "UTC", after, 2), [
      "2026-02-20T09:00:00Z",
      "2026-03-20T09:00:00Z",
    ])
    assert.deepStrictEqual(slots("0 9 * * 5L", "UTC", after, 2), [
      "2026-02-27T09:00:00Z",
      "2026-03-27T09:00:00Z",
    ])
    assert.deepStrictEqual(slots("0 0 13 * 1", "UTC", after, 4), [
      "2026-02-02T00:00:00Z",
      "2026-02-09T00:00:00Z",
      "2026-02-13T00:00:00Z",
      "2026-02-16T00:00:00Z",
    ])
    assert.deepStrictEqual(slots("0 0 * * 7", "UTC", after, 1), ["2026-02-08T00:00:00Z"])
  })

  it.each<[string, string, ReadonlyArray<string>]>([
    // 2026-02-28 is a Saturday, 2026-05-31 a Sunday, 2026-08-01 a Saturday.
    ["0 9 LW * *", "2026-02-01", ["2026-02-27", "2026-03-31", "2026-04-30", "2026-05-29"]],
    ["0 9 15W * *", "2026-02-01", ["2026-02-16", "2026-03-16", "2026-04-15", "2026-05-15", "2026-06-15"]],
    ["0 9 1W 8 *", "2026-02-01", ["2026-08-03", "2027-08-02"]],
    ["0 9 31W * *", "2026-02-01", ["2026-03-31", "2026-05-29", "2026-07-31"]],
    ["0 9 L-2 * *", "2026-02-01", ["2026-02-26", "2026-03-29", "2026-04-28"]],
    ["0 9 1,L-2,LW * *", "2026-02-02", ["2026-02-26", "2026-02-27", "2026-03-01"]],
    ["0 9 * * 1#1,3#3", "2026-02-01", ["2026-02-02", "2026-02-18", "2026-03-02", "2026-03-18"]],
    ["0 9 * * MON#1,5L,6", "2026-02-20", ["2026-02-21", "2026-02-27", "2026-02-28", "2026-03-02"]],
    // Either day field begins with a star: both must match.
    ["0 9 */2 * 1", "2026-02-01", ["2026-02-09", "2026-02-23", "2026-03-09", "2026-03-23"]],
    ["0 9 13 * */5", "2026-02-01", ["2026-02-13", "2026-03-13", "2026-09-13", "2026-11-13"]],
    ["0 9 */2 * *", "2026-02-26", ["2026-02-27", "2026-03-01", "2026-03-03"]],
    ["0 9 1-31/2 * 1", "2026-02-01", ["2026-02-01", "2026-02-02", "2026-02-03"]],
  ])("%s after %s", (text, after, dates) => {
    const found = slots(text, "UTC", `${after}T00:00:00Z`, dates.length)
    assert.deepStrictEqual(
      found,
      dates.map((date) => `${date}T09:00:00Z`),
    )
  })

  it("finds seconds in six fields", () => {
    assert.deepStrictEqual(slots("*/20 59 23 31 12 *", "UTC", "2026-12-31T23:59:19.999Z", 3), [
      "2026-12-31T23:59:20Z",
      "2026-12-31T23:59:40Z",
      "2027-12-31T23:59:00Z",
    ])
  })

  it("jumps over years without a slot, in both directions", () => {
    const schedule = parse("30 2 29 2 *")
    assert.strictEqual(iso(nextSlot(schedule, at("2096-03-01T00:00:00Z"))), "2104-02-29T07:30:00Z")
    assert.strictEqual(iso(previousSlot(schedule, at("2104-02-29T07:30:00Z"))), "2096-02-29T07:30:00Z")
    // The fifth Monday of a February: every 28 years, but not over 2100.
    const rare = parse("0 0 * 2 1#5", "UTC")
    assert.strictEqual(iso(nextSlot(rare, at("2072-03-01T00:00:00Z"))), "2112-02-29T00:00:00Z")
  })

  it("ends with the year 9999", () => {
    for (const schedule of [parse("@daily", "Pacific/Apia"), parse("@daily"), parse("every 1s")]) {
      assert.isNull(nextSlot(schedule, MAX_SLOT))
      assert.isNull(nextSlot(schedule, 8_640_000_000_000_000))
      const last = previousSlot(schedule, 8_640_000_000_000_000)
      assert.isNotNull(last)
      assert.isAtMost(last!, MAX_SLOT)
      assert.isNull(nextSlot(schedule, last!))
    }
  })

  it("begins with 1970 when it looks back", () => {
    assert.isNull(previousSlot(parse("@daily", "UTC"), 0))
    assert.strictEqual(previousSlot(parse("@daily", "UTC"), 1), 0)
    assert.isNull(previousSlot(parse("@daily", newYork), 3_600_000))
    assert.isNull(previousSlot(parse("0 0 29 2 *", "UTC"), at("1971-01-01T00:00:00Z")))
  })

  it("has no slots for what parseSchedule would refuse, and does not throw", () => {
    for (const schedule of [
      { _tag: "Cron", expression: "", zone: "UTC" },
      { _tag: "Cron", expression: "0 0 30 2 *", zone: "UTC" },
      { _tag: "Cron", expression: "@daily", zone: "Mars/Olympus" },
      { _tag: "Interval", everyMs: 0, anchor: 0 },
    ] as const) {
      assert.isNull(nextSlot(schedule, now))
      assert.isNull(previousSlot(schedule, now))
    }
  })

  it("reads a stored macro too", () => {
    const stored = { _tag: "Cron", expression: "@daily", zone: "UTC" } as const
    assert.strictEqual(iso(nextSlot(stored, now)), "2026-01-02T00:00:00Z")
  })
})

describe("preview", () => {
  it("is bounded, and ends with the schedule", () => {
    assert.lengthOf(preview(parse("every 1s"), now, 1_000_000), MAX_PREVIEW)
    assert.lengthOf(preview(parse("in 10m"), now, 5), 1)
    assert.lengthOf(preview(parse("every 1s"), now, -1), 0)
  })
})

describe("in words", () => {
  it.each([
    ["every 5m", "PT5M", "every 5 minutes"],
    ["every 1h", "PT1H", "every hour"],
    ["in 10m", "2026-01-01T00:10:00Z", "once at 2026-01-01T00:10:00Z"],
    ["0 9 * * 1-5", "0 9 * * 1-5", "at 09:00 on Monday to Friday (America/New_York)"],
    ["*/30 * * * *", "*/30 * * * *", "every 30 minutes (America/New_York)"],
    ["@hourly", "0 * * * *", "every hour (America/New_York)"],
    ["15 * * * *", "15 * * * *", "at minute 15 of every hour (America/New_York)"],
    ["0 0 13 * 5", "0 0 13 * 5", "at 00:00 on day 13 of the month or on Friday (America/New_York)"],
    [
      "0 9 L 1,2 *",
      "0 9 L 1,2 *",
      "at 09:00 on the last day of the month in January and February (America/New_York)",
    ],
    ["0 9 * * 0,6", "0 9 * * 0,6", "at 09:00 on Saturday and Sunday (America/New_York)"],
    ["0 9 * * 2#1", "0 9 * * 2#1", "at 09:00 on the first Tuesday of the month (America/New_York)"],
    [
      "0 9 L-2,LW,15W * *",
      "0 9 L-2,LW,15W * *",
      "at 09:00 on 2 days before the last, the last weekday and the weekday nearest to day 15 of the month (America/New_York)",
    ],
    [
      "0 9 * * mon#1,3#3",
      "0 9 * * MON#1,3#3",
      "at 09:00 on the first Monday of the month and the third Wednesday of the month (America/New_York)",
    ],
    [
      "0 9 */15 * 1",
      "0 9 */15 * 1",
      "at 09:00 on days 1, 16 and 31 of the month if that is Monday (America/New_York)",
    ],
    ["*/10 9-17 * * *", "*/10 9-17 * * *", "every 10 minutes of hours 9 to 17 (America/New_York)"],
  ])("%s is %s: %s", (text, canonical, words) => {
    const schedule = parse(text)
    assert.strictEqual(formatSchedule(schedule), canonical)
    assert.strictEqual(describeSchedule(schedule), words)
    assert.deepStrictEqual(parse(canonical), schedule)
  })
})

const Instant = Schema.Int.check(
  Schema.isBetween({ minimum: at("1971-01-01T00:00:00Z"), maximum: at("2100-01-01T00:00:00Z") }),
)
const Every = Schema.Int.check(Schema.isBetween({ minimum: 1000, maximum: 315_576_000_000 }))
const Expression = Schema.Literals([
  "30 2 * * *",
  "30 1 * * *",
  "*/7 * * * *",
  "0 */3 * * 1-5",
  "15 30 0,12 1,L * *",
  "0 0 29 2 *",
  "0 9 13 * 5",
  "*/10 0-3 * 3,4,10,11 *",
])
const ZoneName = Schema.Literals([
  "America/New_York",
  "Europe/London",
  "Africa/Cairo",
  "Australia/Lord_Howe",
  "Asia/Kolkata",
  "America/St_Johns",
  "Pacific/Apia",
])

describe("properties", () => {
  it.prop("an interval's slots stand on its grid, one length apart", [Every, Instant, Instant], (values) => {
    const [everyMs, anchor, instant] = values
    const schedule: Schedule = { _tag: "Interval", everyMs, anchor }
    const next = nextSlot(schedule, instant)!
    assert.strictEqual((next - anchor) % everyMs, 0)
    assert.isAbove(next, instant)
    if (instant >= anchor) {
      assert.isAtMost(next - instant, everyMs)
      assert.strictEqual(previousSlot(schedule, next), next - everyMs)
    } else {
      assert.strictEqual(next, anchor)
      assert.isNull(previousSlot(schedule, next))
    }
  })

  it.prop("next and previous agree and are idempotent", [Expression, ZoneName, Instant], (values) => {
    const [expression, zone, instant] = values
    const schedule: Schedule = { _tag: "Cron", expression, zone }
    const next = nextSlot(schedule, instant)!
    assert.isAbove(next, instant)
    assert.strictEqual(nextSlot(schedule, next - 1), next)
    const previous = previousSlot(schedule, next)
    if (previous !== null) {
      // Nothing lies between: what comes before the next slot is not after the instant that it was asked from.
      assert.isAtMost(previous, instant)
      assert.strictEqual(nextSlot(schedule, previous), next)
    }
  })

  it.prop("any text is either read or refused, and what is read is canonical", [Schema.String], ([text]) => {
    const parsed = parseSchedule(text, { zone: "UTC", now })
    if (Result.isSuccess(parsed))
      assert.deepStrictEqual(
        parseSchedule(formatSchedule(parsed.success), { zone: "UTC", now }),
        Result.succeed(parsed.success),
      )
    else assert.isNotEmpty(parsed.failure.message)
  })
})
