import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { nextSlot } from "../../src/domain/Recurrence.ts"
import { Series } from "../../src/domain/Series.ts"
import {
  decideReschedule,
  decideResume,
  decideSlot,
  SLOT_COUNT_LIMIT,
} from "../../src/domain/SlotDecision.ts"

const MINUTE = 60_000
const DAY = 86_400_000
const start = Date.parse("2026-03-01T00:00:00Z")
const everyMinute = { _tag: "Interval", everyMs: MINUTE, anchor: start } as const
const daily = { _tag: "Cron", expression: "0 9 * * *", zone: "UTC" } as const
const idle = { openOccurrences: 0 }

const series = (fields: Partial<Series>): Series => ({
  ...Schema.decodeUnknownSync(Series)({
    id: "series-1",
    groupId: "group",
    sessionId: "session-1",
    seq: 2,
    name: null,
    prompt: "",
    script: null,
    schedule: everyMinute,
    zone: "UTC",
    overlap: "skip",
    catchUp: "latest",
    priority: 1,
    ttlMs: null,
    status: "active",
    note: null,
    revision: 1,
    nextSlot: start + MINUTE,
    lastSlot: null,
    channelType: null,
    platformId: null,
    threadId: null,
    createdAt: start,
  }),
  ...fields,
})

describe("decideSlot", () => {
  it("does nothing before the slot, and fires at its very millisecond", () => {
    assert.deepStrictEqual(decideSlot(series({}), start + MINUTE - 1, idle), { _tag: "NotDue" })
    assert.deepStrictEqual(decideSlot(series({}), start + MINUTE, idle), {
      _tag: "Fire",
      slot: start + MINUTE,
      missed: null,
      nextSlot: start + 2 * MINUTE,
    })
  })

  it("does nothing for a series that is paused, cancelled, completed or without a slot", () => {
    for (const fields of [
      { status: "paused" },
      { status: "cancelled" },
      { status: "completed" },
      { nextSlot: null },
    ] as const)
      assert.deepStrictEqual(decideSlot(series(fields), start + DAY, idle), { _tag: "NotDue" })
  })

  it("fires only the latest of the slots that passed, and records the others as missed", () => {
    assert.deepStrictEqual(decideSlot(series({}), start + 5 * MINUTE + 1, idle), {
      _tag: "Fire",
      slot: start + 5 * MINUTE,
      missed: { first: start + MINUTE, last: start + 4 * MINUTE, count: 4 },
      nextSlot: start + 6 * MINUTE,
    })
    const nine = (day: number) => start + day * DAY + 9 * 60 * MINUTE
    assert.deepStrictEqual(decideSlot(series({ schedule: daily, nextSlot: nine(0) }), nine(3) - 1, idle), {
      _tag: "Fire",
      slot: nine(2),
      missed: { first: nine(0), last: nine(1), count: 2 },
      nextSlot: nine(3),
    })
  })

  it("skips the latest slot while an occurrence is open, and records the missed ones all the same", () => {
    assert.deepStrictEqual(decideSlot(series({}), start + 3 * MINUTE, { openOccurrences: 1 }), {
      _tag: "SkipOverlap",
      slot: start + 3 * MINUTE,
      missed: { first: start + MINUTE, last: start + 2 * MINUTE, count: 2 },
      nextSlot: start + 4 * MINUTE,
      openOccurrences: 1,
    })
  })

  it("still fires a single instant that passed while the daemon was down, and then nothing more", () => {
    const once = series({ schedule: { _tag: "Once", at: start }, nextSlot: start })
    assert.deepStrictEqual(decideSlot(once, start + 30 * DAY, idle), {
      _tag: "Fire",
      slot: start,
      missed: null,
      nextSlot: null,
    })
  })

  it("fires a first slot that lies off the grid, then goes on with the grid", () => {
    const early = series({ nextSlot: start + 90_000 })
    assert.deepStrictEqual(decideSlot(early, start + 91_000, idle), {
      _tag: "Fire",
      slot: start + 90_000,
      missed: null,
      nextSlot: start + 120_000,
    })
    assert.deepStrictEqual(decideSlot(early, start + 180_000, idle), {
      _tag: "Fire",
      slot: start + 180_000,
      missed: { first: start + 90_000, last: start + 120_000, count: 2 },
      nextSlot: start + 240_000,
    })
  })

  it("bounds the count after a very long time", () => {
    for (const schedule of [everyMinute, { _tag: "Cron", expression: "* * * * *", zone: "UTC" } as const]) {
      const now = start + 3650 * DAY
      const decision = decideSlot(series({ schedule }), now, idle)
      assert.deepStrictEqual(decision, {
        _tag: "Fire",
        slot: now,
        missed: { first: start + MINUTE, last: now - MINUTE, count: SLOT_COUNT_LIMIT },
        nextSlot: now + MINUTE,
      })
    }
  })

  it.prop(
    "whatever the instants of looking, no slot is dealt with twice and none is left out",
    [
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 * MINUTE }))).check(
        Schema.isMaxLength(30),
      ),
    ],
    ([waits]) => {
      let state = series({})
      let now = start
      let dealt = 0
      for (const wait of waits) {
        now += wait
        const decision = decideSlot(state, now, idle)
        if (decision._tag === "NotDue") continue
        dealt += 1 + (decision.missed?.count ?? 0)
        assert.isAtMost(decision.slot, now)
        assert.isAbove(decision.nextSlot!, now)
        if (state.lastSlot !== null) assert.isAbove(decision.missed?.first ?? decision.slot, state.lastSlot)
        state = { ...state, lastSlot: decision.slot, nextSlot: decision.nextSlot }
        assert.strictEqual(decideSlot(state, now, idle)._tag, "NotDue")
      }
      assert.strictEqual(dealt, Math.floor((now - start) / MINUTE))
    },
  )
})

describe("decideResume", () => {
  it("goes on after now and counts what passed, without catching up", () => {
    const paused = series({ status: "paused" })
    assert.deepStrictEqual(decideResume(paused, start + 5 * MINUTE), {
      nextSlot: start + 6 * MINUTE,
      paused: { first: start + MINUTE, last: start + 5 * MINUTE, count: 5 },
    })
    assert.deepStrictEqual(decideResume(paused, start + MINUTE - 1), {
      nextSlot: start + MINUTE,
      paused: null,
    })
  })

  it("finds the paused slots from the last one when the pause took the next one away", () => {
    const paused = series({ status: "paused", nextSlot: null, lastSlot: start + 2 * MINUTE })
    assert.deepStrictEqual(decideResume(paused, start + 4 * MINUTE + 1).paused, {
      first: start + 3 * MINUTE,
      last: start + 4 * MINUTE,
      count: 2,
    })
  })

  it("has nothing left when the single instant passed during the pause", () => {
    const paused = series({ status: "paused", schedule: { _tag: "Once", at: start }, nextSlot: start })
    assert.deepStrictEqual(decideResume(paused, start + 1), {
      nextSlot: null,
      paused: { first: start, last: start, count: 1 },
    })
  })
})

describe("decideReschedule", () => {
  it("takes the first slot of the new grid strictly after now", () => {
    const hourly = { _tag: "Cron", expression: "0 * * * *", zone: "UTC" } as const
    assert.strictEqual(decideReschedule(series({}), hourly, start), start + 60 * MINUTE)
    assert.isNull(decideReschedule(series({}), { _tag: "Once", at: start }, start))
  })

  it("never goes back to a slot that was dealt with, even when the clock did", () => {
    const done = series({ lastSlot: start + 10 * MINUTE })
    const next = decideReschedule(done, everyMinute, start)
    assert.strictEqual(next, start + 11 * MINUTE)
    assert.strictEqual(next, nextSlot(everyMinute, start + 10 * MINUTE))
  })
})
