import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseZone } from "../../src/domain/Zone.ts"

const refusal = (text: string) => {
  const zone = parseZone(text)
  if (Result.isSuccess(zone)) assert.fail(`${text} was taken as ${zone.success}`)
  return zone.failure
}

describe("parseZone", () => {
  it.each([
    ["Europe/Paris", "Europe/Paris"],
    ["europe/paris", "Europe/Paris"],
    ["Asia/Kolkata", "Asia/Kolkata"],
    ["Asia/Calcutta", "Asia/Kolkata"],
    ["America/Buenos_Aires", "America/Argentina/Buenos_Aires"],
    ["US/Eastern", "America/New_York"],
    ["UTC", "UTC"],
    ["utc", "UTC"],
    ["Etc/GMT+12", "Etc/GMT+12"],
  ])("takes %s as %s", (text, zone) => {
    assert.deepStrictEqual(parseZone(text), Result.succeed(zone))
  })

  it.each(["EST", "MST", "HST", "EST5EDT", "GMT", "Zulu", "GB", "America/Argentina/ComodRivadavia"])(
    "takes %s, which the tz database has",
    (text) => {
      assert.isTrue(Result.isSuccess(parseZone(text)))
    },
  )

  it("takes every zone that the platform lists, and each canonical name again", () => {
    for (const name of Intl.supportedValuesOf("timeZone")) {
      const zone = Result.getOrThrow(parseZone(name))
      assert.deepStrictEqual(parseZone(zone), Result.succeed(zone))
    }
  })

  it.each([
    ["BST", "Europe/London"],
    ["PST", "America/Los_Angeles"],
    ["IST", "Asia/Kolkata"],
    ["AST", "America/Halifax"],
    ["SST", "Pacific/Pago_Pago"],
    ["ECT", "America/Guayaquil"],
    ["act", "America/Rio_Branco"],
    ["Europe/Pariss", "Europe/Paris"],
    ["Berlin", "Europe/Berlin"],
    ["America/Kolkata", "Asia/Kolkata"],
  ])("refuses %s, and names %s", (text, nearest) => {
    const { reason, remedy } = refusal(text)
    assert.match(reason, /no such time zone/)
    assert.include(remedy, nearest)
    for (const name of remedy.match(/[A-Z]\w+\/\w+/g) ?? []) assert.isTrue(Result.isSuccess(parseZone(name)))
  })

  it.each(["", " UTC", "+01:00", "Factory", "NST", "JST", "CNT", "VST", "A".repeat(1_000)])(
    "refuses %j with a remedy",
    (text) => {
      assert.isNotEmpty(refusal(text).remedy)
    },
  )
})
