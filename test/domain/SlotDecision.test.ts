import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { nextSlot } from "../../src/domain/Recurrence.ts"
import { defaultSeriesPolicy, jitterOf, Series, unbounded } from "../../src/domain/Series.ts"
import { nextSlotOf, previousSlotOf } from "../../src/domain/SeriesSlots.ts"
import {
  decideReschedule,
  decideResume,
  decideSlots,
  type SlotDecision,
  type SlotRange,
} from "../../src/domain/SlotDecision.ts"

const MINUTE = 60_000
const DAY = 86_400_000
const start = Date.parse("2026-03-01T00:00:00Z")
const everyMinute = { _tag: "Interval", everyMs: MINUTE, anchor: start } as const
const daily = { _tag: "Cron", expression: "0 9 * * *", zone: "UTC" } as const
const idle = { running: 0, buffered: 0 }
const busy = { running: 1, buffered: 0 }

const series = (fields: Partial<Series>): Series => ({
  ...Schema.decodeUnknownSync(Series)({
    id: "series-1",
    taskId: null,
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
    bounds: unbounded,
    policy: defaultSeriesPolicy,
    fired: 0,
    grid: 0,
    failuresInRow: 0,
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

/** One occurrence, due at its slot. */
const fired = (slot: number, missed: SlotRange | null, next: number | null, dueAt = slot): SlotDecision => ({
  _tag: "Due",
  missed,
  fates: [{ _tag: "Fire", slot, dueAt }],
  lastSlot: slot,
  nextSlot: next,
})

describe("decideSlots", () => {
  it("does nothing before the slot, and fires at its very millisecond", () => {
    assert.deepStrictEqual(decideSlots(series({}), start + MINUTE - 1, idle), { _tag: "NotDue" })
    assert.deepStrictEqual(
      decideSlots(series({}), start + MINUTE, idle),
      fired(start + MINUTE, null, start + 2 * MINUTE),
    )
  })

  it("does nothing for a series that is paused, cancelled, completed or without a slot", () => {
    for (const fields of [
      { status: "paused" },
      { status: "cancelled" },
      { status: "completed" },
      { nextSlot: null },
    ] as const)
      assert.deepStrictEqual(decideSlots(series(fields), start + DAY, idle), { _tag: "NotDue" })
  })

  it("fires only the latest of the slots that passed, and records the others as missed", () => {
    assert.deepStrictEqual(
      decideSlots(series({}), start + 5 * MINUTE + 1, idle),
      fired(
        start + 5 * MINUTE,
        { first: start + MINUTE, last: start + 4 * MINUTE, count: 4 },
        start + 6 * MINUTE,
      ),
    )
    const nine = (day: number) => start + day * DAY + 9 * 60 * MINUTE
    assert.deepStrictEqual(
      decideSlots(series({ schedule: daily, nextSlot: nine(0) }), nine(3) - 1, idle),
      fired(nine(2), { first: nine(0), last: nine(1), count: 2 }, nine(3)),
    )
  })

  it("skips the latest slot while an occurrence is open, and records the missed ones all the same", () => {
    assert.deepStrictEqual(decideSlots(series({}), start + 3 * MINUTE, busy), {
      _tag: "Due",
      missed: { first: start + MINUTE, last: start + 2 * MINUTE, count: 2 },
      fates: [{ _tag: "Skip", slot: start + 3 * MINUTE }],
      lastSlot: start + 3 * MINUTE,
      nextSlot: start + 4 * MINUTE,
    })
  })

  it("still fires a single instant that passed while the daemon was down, and then nothing more", () => {
    const once = series({ schedule: { _tag: "Once", at: start }, nextSlot: start })
    assert.deepStrictEqual(decideSlots(once, start + 30 * DAY, idle), fired(start, null, null))
  })

  it("fires a first slot that lies off the grid, then goes on with the grid", () => {
    const early = series({ nextSlot: start + 90_000 })
    assert.deepStrictEqual(
      decideSlots(early, start + 91_000, idle),
      fired(start + 90_000, null, start + 120_000),
    )
    assert.deepStrictEqual(
      decideSlots(early, start + 180_000, idle),
      fired(start + 180_000, { first: start + 90_000, last: start + 120_000, count: 2 }, start + 240_000),
    )
  })

  it("counts exactly after a very long time", () => {
    for (const schedule of [everyMinute, { _tag: "Cron", expression: "* * * * *", zone: "UTC" } as const]) {
      const now = start + 3650 * DAY
      const decision = decideSlots(series({ schedule }), now, idle)
      assert.deepStrictEqual(
        decision,
        fired(now, { first: start + MINUTE, last: now - MINUTE, count: 3_650 * 1_440 - 1 }, now + MINUTE),
      )
    }
  })

  it("counts the slots of 60 days, and leaves out those of excluded dates", () => {
    const now = start + 60 * DAY
    const missed = (exclusions: ReadonlyArray<string>) => {
      const decision = decideSlots(series({ bounds: { ...unbounded, exclusions } }), now, idle)
      return decision._tag === "Due" ? decision.missed?.count : undefined
    }
    assert.strictEqual(missed([]), 86_400 - 1)
    const date = new Date(start + 10 * DAY).toISOString().slice(0, 10)
    assert.strictEqual(missed([date, date, "1999-01-01"]), 86_400 - 1_440 - 1)
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
        const decision = decideSlots(state, now, idle)
        if (decision._tag === "NotDue") continue
        dealt += 1 + (decision.missed?.count ?? 0)
        assert.isAtMost(decision.lastSlot, now)
        assert.isAbove(decision.nextSlot!, now)
        if (state.lastSlot !== null)
          assert.isAbove(decision.missed?.first ?? decision.lastSlot, state.lastSlot)
        state = { ...state, lastSlot: decision.lastSlot, nextSlot: decision.nextSlot }
        assert.strictEqual(decideSlots(state, now, idle)._tag, "NotDue")
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
    assert.strictEqual(decideReschedule(series({}), series({ schedule: hourly }), start), start + 60 * MINUTE)
    assert.isNull(decideReschedule(series({}), series({ schedule: { _tag: "Once", at: start } }), start))
  })

  it("never goes back to a slot that was dealt with, even when the clock did", () => {
    const done = series({ lastSlot: start + 10 * MINUTE })
    const next = decideReschedule(done, done, start)
    assert.strictEqual(next, start + 11 * MINUTE)
    assert.strictEqual(next, nextSlot(everyMinute, start + 10 * MINUTE))
  })
})

describe("overlap", () => {
  const at = start + MINUTE
  const fates = (fields: Partial<Series>, open: { running: number; buffered: number }) => {
    const decision = decideSlots(series(fields), at, open)
    return decision._tag === "Due" ? decision.fates.map(({ _tag }) => _tag) : decision._tag
  }
  for (const [overlap, whileRunning, whileBuffered] of [
    ["skip", "Skip", "Skip"],
    ["buffer-one", "Buffer", "Skip"],
    ["buffer-all", "Buffer", "Buffer"],
    ["cancel-other", "Replace", "Replace"],
    ["allow-all", "Fire", "Fire"],
  ] as const)
    it(`${overlap}: fires when nothing is open, else ${whileRunning}, and with one waiting ${whileBuffered}`, () => {
      assert.deepStrictEqual(fates({ overlap }, idle), ["Fire"])
      assert.deepStrictEqual(fates({ overlap }, busy), [whileRunning])
      assert.deepStrictEqual(fates({ overlap }, { running: 1, buffered: 1 }), [whileBuffered])
    })

  it("buffer-all drops, and says so, beyond its limit", () => {
    const policy = { ...defaultSeriesPolicy, bufferLimit: 2 }
    assert.deepStrictEqual(fates({ overlap: "buffer-all", policy }, { running: 1, buffered: 1 }), ["Buffer"])
    assert.deepStrictEqual(fates({ overlap: "buffer-all", policy }, { running: 1, buffered: 2 }), ["Skip"])
  })
})

describe("catch-up", () => {
  const now = start + 5 * MINUTE + 30_000
  const caughtUp = (fields: Partial<Series>, at = now) => {
    const decision = decideSlots(series({ overlap: "allow-all", ...fields }), at, idle)
    if (decision._tag !== "Due") return decision
    const { fates, missed } = decision
    return [fates.map(({ slot }) => (slot - start) / MINUTE), missed?.count ?? 0]
  }

  it("latest runs one for all missed, however late", () => {
    assert.deepStrictEqual(caughtUp({ catchUp: "latest" }), [[5], 4])
    assert.deepStrictEqual(caughtUp({ catchUp: "latest", schedule: daily, nextSlot: start }, start + DAY), [
      [540],
      1,
    ])
  })

  it("skip runs a slot that is seen in time, and none that was missed", () => {
    assert.deepStrictEqual(caughtUp({ catchUp: "skip" }), [[5], 4])
    const nine = start + 540 * MINUTE
    const late = { catchUp: "skip", schedule: daily, nextSlot: nine } as const
    assert.deepStrictEqual(caughtUp(late, nine + MINUTE), [[540], 0])
    assert.deepStrictEqual(caughtUp(late, nine + MINUTE + 1), [[], 1])
  })

  it("all runs every slot, oldest first, staggered, the last ones up to its cap", () => {
    assert.deepStrictEqual(caughtUp({ catchUp: "all" }), [[1, 2, 3, 4, 5], 0])
    const policy = { ...defaultSeriesPolicy, catchUpCap: 2, staggerMs: 1_000 }
    assert.deepStrictEqual(caughtUp({ catchUp: "all", policy }), [[4, 5], 3])
    const decision = decideSlots(series({ catchUp: "all", overlap: "allow-all", policy }), now, idle)
    assert.deepStrictEqual(
      decision._tag === "Due" ? decision.fates.map((fate) => ("dueAt" in fate ? fate.dueAt : null)) : [],
      [start + 4 * MINUTE, now + 1_000],
    )
  })

  it("records what is older than its window as missed only, and never what is seen in time", () => {
    const policy = { ...defaultSeriesPolicy, catchUpWindowMs: 2 * MINUTE }
    assert.deepStrictEqual(caughtUp({ catchUp: "all", policy }), [[4, 5], 3])
    assert.deepStrictEqual(
      caughtUp({ catchUp: "latest", policy, schedule: { _tag: "Once", at: start }, nextSlot: start }),
      [[], 1],
    )
    const narrow = { ...defaultSeriesPolicy, catchUpWindowMs: 1 }
    assert.deepStrictEqual(caughtUp({ policy: narrow }, start + MINUTE + 500), [[1], 0])
  })

  it("then overlap applies to each", () => {
    const decision = decideSlots(series({ catchUp: "all", overlap: "buffer-one" }), now, idle)
    assert.deepStrictEqual(decision._tag === "Due" ? decision.fates.map(({ _tag }) => _tag) : [], [
      "Fire",
      "Buffer",
      "Skip",
      "Skip",
      "Skip",
    ])
  })
})

describe("bounds", () => {
  it("a start and an end, both included", () => {
    const bounds = { ...unbounded, startAt: start + 2 * MINUTE, endAt: start + 3 * MINUTE }
    assert.strictEqual(nextSlotOf(series({ bounds }), start), start + 2 * MINUTE)
    assert.strictEqual(nextSlotOf(series({ bounds }), start + 2 * MINUTE), start + 3 * MINUTE)
    assert.isNull(nextSlotOf(series({ bounds }), start + 3 * MINUTE))
    assert.strictEqual(previousSlotOf(series({ bounds }), start + DAY), start + 3 * MINUTE)
    assert.isNull(previousSlotOf(series({ bounds }), start + 2 * MINUTE))
  })

  it("a maximum of runs, after which the series is completed", () => {
    const bounds = { ...unbounded, maxRuns: 3 }
    const last = decideSlots(series({ bounds, fired: 2 }), start + MINUTE, idle)
    assert.deepStrictEqual(last, fired(start + MINUTE, null, null))
    const many = decideSlots(
      series({ bounds, fired: 1, catchUp: "all", overlap: "allow-all" }),
      start + 5 * MINUTE,
      idle,
    )
    assert.strictEqual(many._tag === "Due" ? many.fates.length : 0, 2)
  })

  it("excluded dates in the series' zone, jumped over whole", () => {
    const zone = "America/New_York"
    const everySecond = { _tag: "Interval", everyMs: 1_000, anchor: start } as const
    // March 8th has 23 hours there.
    const bounds = { ...unbounded, exclusions: ["2026-03-08", "2026-03-09"] }
    const excluded = series({ schedule: everySecond, zone, bounds })
    const before = Date.parse("2026-03-08T04:59:59Z")
    assert.strictEqual(nextSlotOf(excluded, before), Date.parse("2026-03-10T04:00:00Z"))
    assert.strictEqual(previousSlotOf(excluded, Date.parse("2026-03-10T04:00:00Z")), before)
    assert.isNull(
      nextSlotOf(series({ schedule: { _tag: "Once", at: before + 1_000 }, zone, bounds }), before),
    )
  })

  it("a jitter that the id decides, the same every time, within its limit", () => {
    const jitters = Array.from({ length: 500 }, (_, n) => jitterOf(`task-${n}`, 60_000))
    assert.deepStrictEqual(
      jitters,
      Array.from({ length: 500 }, (_, n) => jitterOf(`task-${n}`, 60_000)),
    )
    assert.isTrue(jitters.every((ms) => ms >= 0 && ms <= 60_000))
    assert.isAbove(new Set(jitters).size, 400, "spread over the series")
    const bounds = { ...unbounded, jitterMs: 60_000 }
    const decision = decideSlots(series({ bounds }), start + MINUTE, idle)
    const jitterMs = jitterOf("series-1", 60_000)
    assert.deepStrictEqual(
      decision,
      fired(start + MINUTE, null, start + 2 * MINUTE, start + MINUTE + jitterMs),
    )
  })
})
