import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { formatExchangeTime, formatZoned, parseExchangeTime } from "../../src/domain/ExchangeTime.ts"
import { type EpochMs, HOUR_MS, MAX_EPOCH_MS } from "../../src/domain/Instant.ts"

const read = (text: string) => Result.getOrNull(parseExchangeTime(text))

const HALF_PAST_ONE: EpochMs = Date.UTC(2026, 2, 29, 1, 30, 0)
const END_OF_9999: EpochMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

describe("a time from a container", () => {
  it("without a zone is UTC, wherever the host stands", () => {
    const previous = process.env["TZ"]
    try {
      for (const zone of ["Asia/Tokyo", "America/New_York", "UTC"]) {
        process.env["TZ"] = zone
        assert.deepStrictEqual(read("2026-03-29 01:30:00"), { at: HALF_PAST_ONE, precision: "s" })
        assert.deepStrictEqual(read("2026-03-29T01:30:00"), { at: HALF_PAST_ONE, precision: "s" })
      }
    } finally {
      if (previous === undefined) delete process.env["TZ"]
      else process.env["TZ"] = previous
    }
  })

  it("with Z or an offset is what it says", () => {
    for (const text of [
      "2026-03-29T01:30:00Z",
      "2026-03-29T03:30:00+02:00",
      "2026-03-28T20:30:00-05:00",
      "2026-03-29T07:00:00+05:30",
      "2026-03-29T01:30:00-00:00",
      "2026-03-29 01:30:00Z",
      "2026-03-29t01:30:00z",
      "2026-03-29T03:30:00+0200",
      "2026-03-29 03:30:00 +02:00",
    ]) {
      assert.strictEqual(read(text)?.at, HALF_PAST_ONE, text)
    }
  })

  it("has the precision of its text: fewer than three digits may have been cut", () => {
    assert.deepStrictEqual(read("2026-03-29 01:30:00.123"), { at: HALF_PAST_ONE + 123, precision: "ms" })
    assert.deepStrictEqual(read("2026-03-29T01:30:00.000Z"), { at: HALF_PAST_ONE, precision: "ms" })
    assert.deepStrictEqual(read("2026-03-29T01:30:00.123999Z"), { at: HALF_PAST_ONE + 123, precision: "ms" })
    assert.deepStrictEqual(read("2026-03-29 01:30:00.5"), { at: HALF_PAST_ONE + 500, precision: "s" })
    assert.deepStrictEqual(read("2026-03-29 01:30:00.05"), { at: HALF_PAST_ONE + 50, precision: "s" })
  })

  it("knows leap years", () => {
    assert.strictEqual(read("2024-02-29 00:00:00")?.at, Date.UTC(2024, 1, 29))
    assert.strictEqual(read("2000-02-29 00:00:00")?.at, Date.UTC(2000, 1, 29))
    assert.isNull(read("2025-02-29 00:00:00"))
    assert.isNull(read("2100-02-29 00:00:00"))
  })

  it("is refused when no such day or time exists", () => {
    for (const text of [
      "2026-02-30 00:00:00",
      "2026-04-31 00:00:00",
      "2026-06-31 00:00:00",
      "2026-09-31 00:00:00",
      "2026-11-31 00:00:00",
      "2026-13-01 00:00:00",
      "2026-00-01 00:00:00",
      "2026-01-00 00:00:00",
      "2026-01-32 00:00:00",
      "2026-01-01 24:00:00",
      "2026-01-01 23:60:00",
      "2026-06-30 23:59:60",
      "2026-01-01T00:00:00+24:00",
      "2026-01-01T00:00:00+00:60",
    ]) {
      assert.isNull(read(text), text)
    }
  })

  it("is refused in any other form", () => {
    for (const text of [
      "",
      "now",
      "2026-03-29",
      "2026-03-29 01:30",
      "2026-3-29 01:30:00",
      "2026-03-29  01:30:00",
      "2026-03-29 01:30:00 ",
      " 2026-03-29 01:30:00",
      "2026-03-29 01:30:00\n",
      "2026-03-29T01:30:00.Z",
      "2026-03-29T01:30:00.1234567890Z",
      "2026-03-29T01:30:00+02",
      "+002026-03-29T01:30:00Z",
      "1774747800000",
      "2026-03-29T03:30:00+02:00[Europe/Paris]",
      "2026-03-29T01:30:00Z[UTC]",
      "２０２６-03-29 01:30:00",
    ]) {
      assert.isNull(read(text), JSON.stringify(text))
    }
  })

  it("is refused before 1970, and taken from its first instant to the last of year 9999", () => {
    assert.strictEqual(read("1970-01-01T00:00:00.000Z")?.at, 0)
    assert.isNull(read("1969-12-31T23:59:59.999Z"))
    assert.isNull(read("1970-01-01T00:00:00+00:01"))
    assert.isNull(read("0000-01-01 00:00:00"))
    assert.strictEqual(read("9999-12-31T23:59:59.999Z")?.at, END_OF_9999)
    assert.strictEqual(read("9999-12-31T23:59:59.999-23:59")?.at, END_OF_9999 + 24 * HOUR_MS - 60_000)
  })

  it("that is refused names the text, cut short, and what would do", () => {
    const error = Result.getOrThrow(Result.flip(parseExchangeTime(`2026-02-30 00:00:00${"x".repeat(5_000)}`)))
    assert.include(error.message, "2026-02-30")
    assert.include(error.message, "expected a time like")
    assert.isBelow(error.message.length, 300)
    const noDay = Result.getOrThrow(Result.flip(parseExchangeTime("2026-02-30 00:00:00")))
    assert.include(noDay.message, "a day that does not exist")
  })
})

describe("a time for a container", () => {
  it("is ISO 8601 in UTC with milliseconds", () => {
    assert.strictEqual(formatExchangeTime(HALF_PAST_ONE + 7), "2026-03-29T01:30:00.007Z")
    assert.strictEqual(formatExchangeTime(0), "1970-01-01T00:00:00.000Z")
  })

  it("never has a year of more than four digits", () => {
    assert.strictEqual(formatExchangeTime(END_OF_9999 + 1), "9999-12-31T23:59:59.999Z")
    assert.strictEqual(formatExchangeTime(MAX_EPOCH_MS), "9999-12-31T23:59:59.999Z")
    assert.match(formatZoned(MAX_EPOCH_MS, "Pacific/Kiritimati"), /^9999-12-31T.*\[Pacific\/Kiritimati\]$/)
  })

  const instant = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: END_OF_9999 }))

  it.prop("is the calendar's own text, and reads back as itself", [instant], ([at]) => {
    const text = formatExchangeTime(at)
    assert.strictEqual(text, new Date(at).toISOString())
    assert.deepStrictEqual(read(text), { at, precision: "ms" })
    const cut = text.slice(0, 19).replace("T", " ")
    assert.deepStrictEqual(read(cut), { at: at - (at % 1_000), precision: "s" })
  })

  it("is right on every day of a whole cycle of leap years", () => {
    for (let at = 0; at < Date.UTC(2405, 0, 1); at += 24 * HOUR_MS) {
      const text = formatExchangeTime(at)
      if (read(text)?.at !== at) assert.fail(`${text} does not read back`)
      if (!new Date(at).toISOString().startsWith(text.slice(0, 10))) assert.fail(`${text} is another day`)
    }
  })

  it.prop(
    "is read as a day only if the calendar has it",
    {
      year: Schema.Int.check(Schema.isBetween({ minimum: 1970, maximum: 9999 })),
      month: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 14 })),
      day: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 33 })),
    },
    ({ year, month, day }) => {
      const two = (value: number) => String(value).padStart(2, "0")
      const text = `${year}-${two(month)}-${two(day)}`
      const at = Date.UTC(year, month - 1, day)
      const exists = new Date(at).toISOString().startsWith(text)
      assert.strictEqual(read(`${text} 00:00:00`)?.at ?? null, exists ? at : null)
    },
  )
})

describe("a time for people and for listing", () => {
  it("is RFC 9557 in the zone, on both sides of a change of offset", () => {
    const change = Date.UTC(2026, 2, 29, 1, 0, 0)
    assert.strictEqual(formatZoned(change - 1_000, "Europe/Paris"), "2026-03-29T01:59:59+01:00[Europe/Paris]")
    assert.strictEqual(formatZoned(change, "Europe/Paris"), "2026-03-29T03:00:00+02:00[Europe/Paris]")
    assert.strictEqual(formatZoned(HALF_PAST_ONE, "Asia/Kolkata"), "2026-03-29T07:00:00+05:30[Asia/Kolkata]")
  })

  it("shows a fraction only where there is one", () => {
    assert.strictEqual(formatZoned(HALF_PAST_ONE + 5, "UTC"), "2026-03-29T01:30:00.005+00:00[UTC]")
    assert.strictEqual(formatZoned(HALF_PAST_ONE, "UTC"), "2026-03-29T01:30:00+00:00[UTC]")
  })

  it("is never a time that a runner could take for due: the brackets are always there", () => {
    for (const zone of ["Europe/Paris", "UTC", "+02:00", "Nowhere/Atlantis", ""]) {
      const text = formatZoned(HALF_PAST_ONE, zone)
      assert.match(text, /^2026-03-29T\d{2}:30:00[+-]\d{2}:\d{2}\[[^\]]+\]$/, zone)
      assert.isNull(read(text))
    }
    assert.strictEqual(formatZoned(HALF_PAST_ONE, "Nowhere/Atlantis"), "2026-03-29T01:30:00+00:00[UTC]")
  })
})
