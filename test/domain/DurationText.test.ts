import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseDuration, parseDurationOrMillis } from "../../src/domain/DurationText.ts"

const millis = (given: string | number) => Result.getOrUndefined(parseDuration(given))

describe("parseDuration", () => {
  it.each<[string | number, number]>([
    ["90s", 90_000],
    [" 30 minutes ", 1_800_000],
    ["1h 30m", 5_400_000],
    ["1h30m", 5_400_000],
    ["1.5 hours", 5_400_000],
    ["0.1 minutes", 6_000],
    ["2 Days", 172_800_000],
    ["1 hour and 30 minutes", 5_400_000],
    ["1 hour, 30 mins", 5_400_000],
    ["2 hrs", 7_200_000],
    ["250ms", 250],
    ["3 millis", 3],
    ["1 week", 604_800_000],
    ["PT5M", 300_000],
    ["p1dt12h", 129_600_000],
    ["0s", 0],
    [1_500, 1_500],
    [0, 0],
  ])("reads %j", (given, expected) => {
    assert.strictEqual(millis(given), expected)
  })

  it.each<[string | number, number, RegExp]>([
    ["", 0, /missing/],
    ["30", 2, /unit is missing/],
    ["5 fortnights", 2, /no unit "fortnights"/],
    ["  5 parsecs", 4, /no unit "parsecs"/],
    ["minutes", 0, /no length of time/],
    ["5 seconds then", 10, /no length of time/],
    ["-5s", 0, /no length of time/],
    ["1e3", 1, /no length of time|no unit/],
    ["Infinity", 0, /no length of time/],
    ["2 months", 2, /no fixed length/],
    ["P1Y", 0, /no fixed length/],
    ["PT", 0, /ISO 8601/],
    ["0.5ms", 0, /whole number/],
    [0.5, 0, /whole number/],
    [Number.POSITIVE_INFINITY, 0, /whole number/],
    ["1s".repeat(100_000), 200, /longer than/],
    ["9".repeat(15) + "w", 0, /whole number/],
  ])("refuses %j", (given, position, reason) => {
    const read = parseDuration(given)
    if (Result.isSuccess(read)) assert.fail(`${given} was accepted`)
    assert.match(read.failure.reason, reason)
    assert.strictEqual(read.failure.position, position)
    assert.isNotEmpty(read.failure.remedy)
  })

  it("takes digits alone as milliseconds only where that is asked for", () => {
    assert.deepStrictEqual(parseDurationOrMillis("300000"), Result.succeed(300_000))
    assert.deepStrictEqual(parseDurationOrMillis("5m"), Result.succeed(300_000))
    assert.isTrue(Result.isFailure(parseDurationOrMillis("9".repeat(16))))
  })
})
