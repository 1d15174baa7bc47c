/**
 * Properties of a series over whole histories, on the real transitions: whatever ends, fails, pauses, restarts, crashes and clock
 * changes come in whatever order, a slot has one fate, and it is the one that the policy says. The policies are said a second time
 * here, slot by slot and without any arithmetic, and the two are compared after every step.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { parseSchedule, preview } from "../../src/domain/Recurrence.ts"
import {
  CatchUpPolicy,
  ContextPolicy,
  defaultSeriesPolicy,
  OverlapPolicy,
  type Schedule,
  unbounded,
} from "../../src/domain/Series.ts"
import { ON_TIME_MS } from "../../src/domain/SlotDecision.ts"
import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import { backfillSeries, runNow } from "../../src/services/ledger/SeriesRuns.ts"
import {
  cancelSeries,
  pauseSeries,
  resumeSeries,
  updateSeries,
} from "../../src/services/ledger/SeriesTransitions.ts"
import { makeSeriesLedger, runNowId, type SeriesLedger, TASK, ZONE } from "../support/SeriesLedger.ts"
import { patience } from "../support/Patience.ts"

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Two days before the spring transition of New York. */
const START = Date.parse("2026-03-06T12:00:00Z")

const Grid = Schema.Literals(["every 45 minutes", "0 * * * *", "30 2 * * *"])

/** The schedule as it is stored when somebody writes it at that instant. */
const scheduleOf = (grid: string, now: number): Schedule =>
  Result.getOrThrow(parseSchedule(grid, { zone: ZONE, now }))

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const orNull = (minimum: number, maximum: number) => Schema.NullOr(between(minimum, maximum))

const Setting = Schema.Struct({
  grid: Grid,
  overlap: OverlapPolicy,
  catchUp: CatchUpPolicy,
  context: ContextPolicy,
  windowMs: Schema.NullOr(Schema.Literals([1, 2 * HOUR, DAY])),
  cap: between(1, 5),
  bufferLimit: between(1, 3),
  maxRuns: orNull(1, 6),
  pauseAfter: orNull(1, 3),
})
type Setting = typeof Setting.Type

const Step = Schema.Union([
  /** The daemon runs, and looks at the end of it. */
  Schema.TaggedStruct("Look", { afterMs: between(0, 2 * HOUR) }),
  /** The daemon is down. */
  Schema.TaggedStruct("Down", { forMs: between(0, 4 * DAY) }),
  /** The host's clock is set, back or ahead, while the daemon runs. */
  Schema.TaggedStruct("ClockSet", { byMs: between(-3 * HOUR, 3 * HOUR) }),
  /** It dies in the transaction that deals with what is due. */
  Schema.TaggedStruct("Crash", {}),
  Schema.TaggedStruct("Claim", {}),
  Schema.TaggedStruct("End", { state: Schema.Literals(["completed", "failed", "skipped", "expired"]) }),
  Schema.TaggedStruct("Pause", {}),
  Schema.TaggedStruct("Resume", { pausedSlots: Schema.Literals(["record", "catch-up"]) }),
  Schema.TaggedStruct("Policies", { overlap: OverlapPolicy, catchUp: CatchUpPolicy }),
  Schema.TaggedStruct("Reschedule", { grid: Grid }),
  Schema.TaggedStruct("RunNow", {}),
  Schema.TaggedStruct("Backfill", { name: Schema.Literals(["a", "b"]), hours: between(0, 6) }),
])
type Step = typeof Step.Type

const steps = Schema.Array(Step).check(Schema.isMaxLength(40))

type Fate = "run" | "missed" | "overlap" | "paused"

const slotsAfter = (schedule: Schedule, after: number): ReadonlyArray<number> =>
  preview(schedule, after, 1_000)

/** What the policies say, slot by slot. */
const makeModel = (setting: Setting) => {
  let current: string = setting.grid
  let slots = slotsAfter(scheduleOf(setting.grid, START), START - 1)
  const fates = new Map<number, Fate>()
  let policies = { overlap: setting.overlap, catchUp: setting.catchUp }
  let paused = false
  let completed = false
  let failures = 0
  let fired = 0
  const unseen = (now: number) => slots.filter((slot) => slot <= now && !fates.has(slot))
  const wanted = (now: number): ReadonlyArray<number> => {
    const inWindow = unseen(now).filter(
      (slot) => setting.windowMs === null || now - slot <= Math.max(setting.windowMs, ON_TIME_MS),
    )
    if (policies.catchUp === "all") return inWindow.slice(-setting.cap)
    const latest = inWindow.slice(-1).filter((slot) => slot === unseen(now).at(-1))
    return policies.catchUp === "latest" ? latest : latest.filter((slot) => now - slot <= ON_TIME_MS)
  }
  const give = (slot: number, fate: Fate) => {
    assert.isFalse(fates.has(slot), "one fate each")
    fates.set(slot, fate)
  }
  return {
    fates,
    status: () => (completed ? "completed" : paused ? "paused" : "active"),
    look: (now: number, open: { running: number; buffered: number }) => {
      if (paused || completed) return
      const chosen = wanted(now)
      let { buffered, running } = open
      for (const slot of unseen(now)) {
        if (completed) break
        if (!chosen.includes(slot)) {
          give(slot, "missed")
          continue
        }
        const free = running + buffered === 0
        const limit = policies.overlap === "buffer-one" ? 1 : setting.bufferLimit
        const buffers = policies.overlap === "buffer-one" || policies.overlap === "buffer-all"
        if (free || policies.overlap === "allow-all" || policies.overlap === "cancel-other") running += 1
        else if (buffers && buffered < limit) buffered += 1
        else {
          give(slot, "overlap")
          continue
        }
        give(slot, "run")
        fired += 1
        completed = setting.maxRuns !== null && fired >= setting.maxRuns
      }
    },
    ended: (state: string) => {
      failures = state === "failed" ? failures + 1 : state === "expired" ? failures : 0
      if (!completed && setting.pauseAfter !== null && failures >= setting.pauseAfter) paused = true
    },
    pause: () => {
      paused = !completed
    },
    resume: (now: number, how: "record" | "catch-up") => {
      if (!paused) return
      paused = false
      failures = 0
      if (how === "record") for (const slot of unseen(now)) give(slot, "paused")
    },
    setPolicies: (next: typeof policies) => {
      policies = next
    },
    has: (grid: string) => grid === current,
    reschedule: (grid: string, now: number) => {
      current = grid
      if (paused) for (const slot of unseen(now)) give(slot, "paused")
      slots = slotsAfter(scheduleOf(grid, now), Math.max(now, ...fates.keys()))
    },
    /** The slots up to now that have met no fate. */
    unseen,
  }
}

const count = (fates: Iterable<Fate>, fate: Fate) => [...fates].filter((each) => each === fate).length

/** The ledger and the model tell the same story. */
const compare = Effect.fnUntraced(function* (ledger: SeriesLedger, model: ReturnType<typeof makeModel>) {
  const { occurrences, runs, series } = yield* ledger.seen
  assert.strictEqual(series.status, model.status())
  const ran = occurrences.flatMap(({ slot, slotOrigin }) => (slotOrigin === "schedule" ? [slot] : []))
  assert.deepStrictEqual(
    ran.toSorted((a, b) => a! - b!),
    [...model.fates].flatMap(([slot, fate]) => (fate === "run" ? [slot] : [])).toSorted((a, b) => a - b),
  )
  for (const outcome of ["missed", "overlap", "paused"] as const) {
    const rows = runs.filter((run) => run.outcome === outcome)
    assert.strictEqual(
      rows.reduce((sum, run) => sum + run.count, 0),
      count(model.fates.values(), outcome),
      outcome,
    )
  }
  const keys = occurrences.flatMap(({ slot, slotOrigin }) => (slot === null ? [] : [`${slotOrigin}/${slot}`]))
  assert.strictEqual(new Set(keys).size, keys.length, "(series, slot, origin) is unique")
  const open = yield* ledger.open
  if (open.running.length === 0) assert.strictEqual(open.buffered.length, 0, "nothing waits for nobody")
  if (series.status === "active") assert.isNotNull(series.nextSlot, "an active series has a next slot")
})

const applyStep = Effect.fnUntraced(function* (
  ledger: SeriesLedger,
  model: ReturnType<typeof makeModel>,
  step: Step,
  clock: { now: number; serial: number },
) {
  const look = Effect.gen(function* () {
    const open = yield* ledger.open
    model.look(clock.now, { running: open.running.length, buffered: open.buffered.length })
    yield* ledger.look(clock.now)
  })
  const { now } = clock
  switch (step._tag) {
    case "Look":
      clock.now += step.afterMs
      return yield* look
    case "Down":
      clock.now += step.forMs
      return
    case "ClockSet":
      clock.now += step.byMs
      return
    case "Crash":
      return yield* ledger.look(now, "crashes")
    case "Claim": {
      const waiting = (yield* ledger.open).running.find(({ state }) => state === "pending")
      if (waiting !== undefined) yield* ledger.claim(waiting, now)
      return
    }
    case "End": {
      const [oldest] = (yield* ledger.open).running
      if (oldest === undefined) return
      yield* ledger.end(oldest, step.state, now)
      model.ended(step.state)
      return
    }
    case "Pause":
      yield* Effect.ignore(ledger.step(now, (unit) => pauseSeries(unit, TASK, null)))
      return model.pause()
    case "Resume":
      yield* Effect.ignore(ledger.step(now, (unit) => resumeSeries(unit, TASK, step.pausedSlots)))
      return model.resume(now, step.pausedSlots)
    case "Policies": {
      const { catchUp, overlap } = step
      const done = yield* Effect.result(
        ledger.step(now, (unit) => updateSeries(unit, TASK, { overlap, catchUp })),
      )
      if (Result.isSuccess(done)) model.setPolicies({ overlap, catchUp })
      return
    }
    case "Reschedule": {
      const open = yield* ledger.open
      const done = yield* Effect.result(
        ledger.step(now, (unit) => updateSeries(unit, TASK, { recurrence: step.grid })),
      )
      // What is said again changes nothing.
      if (Result.isFailure(done) || model.has(step.grid)) return
      // What the old grid owed is dealt with first.
      model.look(now, { running: open.running.length, buffered: open.buffered.length })
      model.reschedule(step.grid, now)
      return
    }
    case "RunNow":
      return yield* ledger.step(now, (unit) => runNow(unit, TASK, runNowId(clock.serial++)))
    case "Backfill":
      return yield* ledger.step(now, (unit) =>
        backfillSeries(unit, TASK, { name: step.name, from: now - step.hours * HOUR, to: now }),
      )
  }
})

const madeWith = (setting: Setting) =>
  makeSeriesLedger(START, {
    schedule: scheduleOf(setting.grid, START),
    overlap: setting.overlap,
    catchUp: setting.catchUp,
    bounds: { ...unbounded, maxRuns: setting.maxRuns },
    policy: {
      ...defaultSeriesPolicy,
      context: setting.context,
      catchUpWindowMs: setting.windowMs,
      catchUpCap: setting.cap,
      bufferLimit: setting.bufferLimit,
      pauseAfterFailures: setting.pauseAfter,
    },
  })

describe("a series, whatever happens to it", { timeout: patience(120_000) }, () => {
  it.effect.prop(
    "gives each slot one fate, the one that its policies say",
    [Setting, steps],
    ([setting, history]) =>
      Effect.gen(function* () {
        const ledger = yield* madeWith(setting)
        const model = makeModel(setting)
        const clock = { now: START, serial: 0 }
        for (const step of history) {
          yield* applyStep(ledger, model, step, clock)
          yield* compare(ledger, model)
        }
        // Everything settles: it is resumed, looked at, and what is open ends.
        yield* applyStep(ledger, model, { _tag: "Resume", pausedSlots: "record" }, clock)
        yield* applyStep(ledger, model, { _tag: "Look", afterMs: 0 }, clock)
        for (let left = 500; left > 0 && (yield* ledger.open).running.length > 0; left--) {
          yield* applyStep(ledger, model, { _tag: "End", state: "completed" }, clock)
        }
        yield* compare(ledger, model)
        const { occurrences, series } = yield* ledger.seen
        assert.isTrue(
          occurrences.every(({ endedAt }) => endedAt !== null),
          "nothing is left open",
        )
        if (series.status === "active")
          assert.deepStrictEqual(model.unseen(clock.now), [], "no slot is left out")
      }).pipe(Effect.provide(Layer.fresh(MemoryLedger.layer))),
    { arbitrary: { runs: 1_000, size: 40 } },
  )

  it.effect.prop(
    "is not brought back by anything once it was cancelled",
    [Setting, steps],
    ([setting, history]) =>
      Effect.gen(function* () {
        const ledger = yield* madeWith(setting)
        const clock = { now: START, serial: 0 }
        yield* ledger.look(START)
        yield* ledger.step(START, (unit) => cancelSeries(unit, TASK))
        const before = yield* ledger.seen
        for (const step of history) {
          yield* applyStep(ledger, makeModel(setting), step, clock).pipe(Effect.ignore)
          const { occurrences, series } = yield* ledger.seen
          assert.strictEqual(series.status, "cancelled")
          assert.isNull(series.nextSlot)
          assert.strictEqual(occurrences.length, before.occurrences.length)
        }
      }).pipe(Effect.provide(Layer.fresh(MemoryLedger.layer))),
    { arbitrary: { runs: 100, size: 40 } },
  )
})
