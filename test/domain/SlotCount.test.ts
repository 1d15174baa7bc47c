/** Counting slots agrees with finding them one by one, around every change of the clocks. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { countSlots, nextSlot, parseSchedule } from "../../src/domain/Recurrence.ts"

const HOUR = 3_600_000
const DAY = 24 * HOUR
const LIMIT = 6_000

const forms = [
  "* * * * *",
  "*/7 * * * *",
  "0 * * * *",
  "30 2 * * *",
  "30 1 * * *",
  "0,30 0-3 * * *",
  "15 */2 * * *",
  "0 9 * * 1-5",
  "0 0 L * *",
  "0 12 1 * 1#2",
  "0 12 LW,L-2,15W * *",
  "0 9 */2 * 1",
  "20,40 59 23 * * *",
  "0 0 29 2 *",
  "every 17m",
  "PT26H",
] as const

/** A change of the clocks in each, or a whole day that was left out. */
const changes = [
  ["America/New_York", "2026-03-08T07:00:00Z"],
  ["America/New_York", "2026-11-01T06:00:00Z"],
  ["Europe/London", "2026-10-25T01:00:00Z"],
  ["Africa/Cairo", "2026-04-23T22:00:00Z"],
  ["Africa/Cairo", "2026-10-29T21:00:00Z"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
  ["Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
  ["America/St_Johns", "2010-11-07T02:31:00Z"],
  ["America/St_Johns", "2010-03-14T03:31:00Z"],
  ["Pacific/Apia", "2011-12-30T10:00:00Z"],
  ["Asia/Kolkata", "2026-06-01T00:00:00Z"],
] as const

const found = (schedule: Parameters<typeof nextSlot>[0], after: number, until: number): number => {
  let count = 0
  for (let slot = nextSlot(schedule, after); slot !== null && slot <= until && count < LIMIT; count++)
    slot = nextSlot(schedule, slot)
  return count
}

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("the number of slots between two instants", () => {
  it.prop(
    "is that of the slots that are found there, one after another",
    [
      Schema.Literals(forms),
      Schema.Literals(changes.map((_, index) => index)),
      between(-3 * DAY, 3 * DAY),
      between(-1, 4 * DAY),
      Schema.Boolean,
    ],
    ([form, index, fromChange, forMs, onSecond]) => {
      const [zone, change] = changes[index] ?? changes[0]
      const at = Date.parse(change)
      const schedule = Result.getOrThrow(parseSchedule(form, { zone, now: at - 30 * DAY }))
      const rounded = (instant: number) => (onSecond ? Math.floor(instant / 1_000) * 1_000 : instant)
      const after = rounded(at + fromChange)
      const until = rounded(after + forMs)
      assert.strictEqual(countSlots(schedule, after, until), found(schedule, after, until))
    },
    { arbitrary: { runs: 3_000 } },
  )

  it("is exact over years", () => {
    const schedule = Result.getOrThrow(parseSchedule("0 9 * * 1-5", { zone: "America/New_York", now: 0 }))
    const [from, to] = [Date.parse("2026-01-01T00:00:00Z"), Date.parse("2027-01-01T00:00:00Z")]
    assert.strictEqual(countSlots(schedule, from, to), 261)
    assert.strictEqual(countSlots(schedule, to, from), 0)
    const each = Result.getOrThrow(parseSchedule("* * * * * *", { zone: "Europe/Paris", now: 0 }))
    assert.strictEqual(countSlots(each, 0, 3_650 * DAY), 3_650 * 86_400)
  })
})
