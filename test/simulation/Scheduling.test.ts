/** Timelines of schedules on the test clock, with whole daemons: years, clock changes, outages, and every point of an occurrence's life. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { MessageId, SeriesId, SessionId } from "../../src/domain/Ids.ts"
import type { Run } from "../../src/domain/Run.ts"
import type { OverlapPolicy, Schedule } from "../../src/domain/Series.ts"
import { MemoryChannels } from "../../src/layers/memory/MemoryChannels.ts"
import { failsTheMessage, healthy } from "../../src/layers/memory/ScriptedAgents.ts"
import { daemon } from "../../src/services/Daemon.ts"
import { plainDraft } from "../../src/services/ledger/Accept.ts"
import type { NewSeries } from "../../src/services/ledger/SeriesTransitions.ts"
import type { Nudge } from "../../src/services/Nudge.ts"
import { Operations } from "../../src/services/Operations.ts"
import type { TaskChange } from "../../src/services/operations/Requests.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import {
  GROUP,
  makeNudges,
  servicesLayer,
  SESSION,
  setUp,
  type TimelineOptions,
  worldLayer,
} from "../../src/testing/Timeline.ts"
import { patience } from "../support/Patience.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const NEW_YORK = "America/New_York"
const TASK = SeriesId.make("t1")
const SWEEP_MS = HOUR
/** A year is half a million rounds of the daemon's loops, and a busy machine has other things to do. */
const timeout = patience(120_000)

const cron = (expression: string): Schedule => ({ _tag: "Cron", expression, zone: NEW_YORK })
const every = (everyMs: number, anchor = 0): Schedule => ({ _tag: "Interval", everyMs, anchor })
const at = (text: string): number => Date.parse(text)

/** A world in which daemons come and go; it begins at that instant. */
const world = <A, E, R>(options: TimelineOptions, begin: number, story: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(begin), story).pipe(Effect.provide(worldLayer(options)))

/** What the daemon's loop listens to, as every request rings it. */
class Bell extends Context.Service<Bell, Nudge>()("test/Bell") {}

/** One life of the services, with or without the daemon's loops; it ends with a clean shutdown. */
const life = Effect.fnUntraced(function* <A, E, R>(
  options: TimelineOptions,
  loops: "loops" | "no loops",
  story: Effect.Effect<A, E, R>,
) {
  const nudges = yield* makeNudges
  return yield* Effect.gen(function* () {
    yield* setUp.pipe(Effect.ignore)
    const loop = daemon({ sweepIntervalMs: SWEEP_MS, pollIntervalMs: 1_000, ...nudges })
    const running = yield* Effect.forkChild(loops === "loops" ? loop : Effect.never)
    yield* TestClock.adjust(0)
    const result = yield* Effect.exit(Effect.provideService(story, Bell, nudges.look))
    const stopping = yield* Effect.forkChild(Fiber.interrupt(running))
    yield* steps(60, 1_000)
    yield* Fiber.join(stopping)
    return yield* result
  }).pipe(Effect.provide(servicesLayer(options, nudges)))
})

/** Time passes in steps, so that what comes due in between does its work. */
const steps = (count: number, stepMs: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, step) => step),
    () => TestClock.adjust(stepMs),
    { discard: true },
  )

const task: NewSeries = {
  id: TASK,
  name: null,
  prompt: "tick",
  script: null,
  schedule: every(HOUR),
  priority: 1,
  ttlMs: null,
  channelType: null,
  platformId: null,
  threadId: null,
}

const addTask = Effect.fnUntraced(function* (schedule: Schedule, more: Partial<NewSeries> = {}) {
  const store = yield* SessionStore
  const series = yield* store.createSeries(SESSION, { ...task, schedule, ...more })
  yield* (yield* Bell).ring
  return series
})

const change = (operation: TaskChange) =>
  Operations.use((operations) => operations.changeTask({ id: TASK, change: operation }))

const seriesNow = SessionStore.use((store) => store.read((reader) => reader.series(TASK)!))

/** Oldest first. */
const runs = SessionStore.use((store) =>
  store.read((reader) => reader.runs({ seriesId: TASK }, { limit: 10_000 }).toReversed()),
)

const occurrences = SessionStore.use((store) =>
  store.read((reader) => reader.messages({ seriesId: TASK }, { limit: 10_000 }).toReversed()),
)

const iso = (instant: number | null) => (instant === null ? null : new Date(instant).toISOString())

describe("a schedule over a year", { timeout }, () => {
  /** Nine o'clock on weekdays, found by asking the zone's clock at every hour of the year. */
  const expectedSlots = (from: number, to: number): ReadonlyArray<number> => {
    const clock = new Intl.DateTimeFormat("en-US", {
      timeZone: NEW_YORK,
      weekday: "short",
      hour: "2-digit",
      hourCycle: "h23",
    })
    const found: Array<number> = []
    for (let instant = from; instant < to; instant += HOUR) {
      const parts = new Map(clock.formatToParts(instant).map(({ type, value }) => [type, value]))
      const weekend = parts.get("weekday") === "Sat" || parts.get("weekday") === "Sun"
      if (!weekend && parts.get("hour") === "09") found.push(instant)
    }
    return found
  }

  it.effect("every weekday at nine in New York: each slot at its instant, once, and nothing else", () => {
    const options: TimelineOptions = {
      script: () => healthy({ workMs: 5_000 }),
      policy: { idleMs: 10_000 },
    }
    const [from, to] = [at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")]
    const slots = expectedSlots(from, to)
    return world(
      options,
      from,
      life(
        options,
        "loops",
        Effect.gen(function* () {
          yield* addTask(cron("0 9 * * 1-5"))
          // History is kept for thirty days, so what is seen is gathered on the way.
          const history = new Map<number, Run>()
          const gather = Effect.map(runs, (rows) => {
            for (const row of rows) history.set(row.position, row)
          })
          for (const [index, slot] of slots.entries()) {
            yield* TestClock.setTime(slot - 1)
            yield* TestClock.adjust(0)
            assert.strictEqual((yield* occurrences).at(-1)?.slot, slots[index - 1], `before ${iso(slot)}`)
            yield* TestClock.adjust(1)
            assert.strictEqual((yield* occurrences).at(-1)?.slot, slot, iso(slot)!)
            yield* steps(8, 5_000)
            yield* gather
          }
          yield* TestClock.setTime(to - 1)
          yield* steps(2, 0)
          yield* gather
          const all = [...history.values()]
          assert.deepStrictEqual(
            all.map(({ slot }) => slot),
            [...slots],
          )
          assert.strictEqual(slots.length, 261)
          assert.isTrue(all.every(({ count, outcome }) => outcome === "completed" && count === 1))
          assert.isTrue(all.every(({ dueAt, slot }) => dueAt === slot))
          assert.strictEqual((yield* seriesNow).nextSlot, at("2027-01-01T14:00:00Z"))
        }),
      ),
    )
  })
})

describe("a daemon that is down while the clocks change", { timeout }, () => {
  const options: TimelineOptions = { script: () => healthy({ workMs: 1_000 }), policy: { idleMs: 10_000 } }
  const outages = [
    ["spring", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"],
    ["autumn", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"],
  ] as const

  for (const [expression, spring, autumn] of [
    // In the gap: at the first instant after it. Otherwise each day once.
    [
      "30 2 * * *",
      ["2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"],
      ["2026-11-01T07:30:00.000Z", "2026-11-02T07:30:00.000Z"],
    ],
    // In the repeated hour: the first pass.
    [
      "30 1 * * *",
      ["2026-03-08T06:30:00.000Z", "2026-03-09T05:30:00.000Z"],
      ["2026-11-01T05:30:00.000Z", "2026-11-02T06:30:00.000Z"],
    ],
  ] as const)
    it.effect(`${expression}: catches up each slot of the outage once, over both transitions`, () =>
      world(
        options,
        at("2026-03-01T00:00:00Z"),
        Effect.gen(function* () {
          const known = new Set<number>()
          yield* life(
            options,
            "no loops",
            addTask(cron(expression), { catchUp: "all", overlap: "buffer-all" }),
          )
          for (const [season, from, to] of outages) {
            yield* TestClock.setTime(at(from))
            // The daemon runs until the outage, and deals with what was before.
            yield* life(options, "loops", steps(2_000, 1_000))
            for (const { slot } of yield* life(options, "no loops", occurrences)) known.add(slot!)
            yield* TestClock.setTime(at(to))
            yield* life(options, "loops", steps(60, 1_000))
            const after = yield* life(options, "no loops", occurrences)
            assert.deepStrictEqual(
              after.flatMap(({ slot }) => (known.has(slot!) ? [] : [iso(slot)])),
              season === "spring" ? [...spring] : [...autumn],
              season,
            )
            assert.isTrue(after.every(({ state }) => state === "completed"))
          }
        }),
      ),
    )

  it.effect("hourly: the day in spring has 23 slots, the one in autumn 25, one real hour apart", () =>
    world(
      options,
      at("2026-03-01T00:00:00Z"),
      Effect.gen(function* () {
        yield* life(options, "no loops", addTask(cron("0 * * * *"), { catchUp: "all", overlap: "allow-all" }))
        for (const [day, hours] of [
          ["2026-03-08", 23],
          ["2026-11-01", 25],
        ] as const) {
          const midnight = at(`${day}T${hours === 23 ? "05" : "04"}:00:00Z`)
          yield* TestClock.setTime(midnight - 1)
          yield* life(
            options,
            "no loops",
            Sweep.use((sweep) => sweep.pass),
          )
          const before = new Set((yield* life(options, "no loops", occurrences)).map(({ slot }) => slot))
          yield* TestClock.setTime(midnight + hours * HOUR - 1)
          yield* life(
            options,
            "no loops",
            Sweep.use((sweep) => sweep.pass),
          )
          const slots = (yield* life(options, "no loops", occurrences)).flatMap(({ slot }) =>
            before.has(slot) || slot! < midnight ? [] : [slot!],
          )
          assert.deepStrictEqual(
            slots.toSorted((a, b) => a - b),
            Array.from({ length: hours }, (_, hour) => midnight + hour * HOUR),
          )
        }
      }),
    ),
  )

  it.effect("a restart inside the repeated hour fires nothing twice", () =>
    world(
      options,
      at("2026-11-01T05:00:00Z"),
      Effect.gen(function* () {
        const first = at("2026-11-01T05:30:00Z")
        yield* life(
          options,
          "loops",
          Effect.andThen(
            addTask(cron("30 1 * * *")),
            Effect.andThen(TestClock.setTime(first), steps(30, 1_000)),
          ),
        )
        // 1:15 in the second pass, and on through its 1:30.
        yield* TestClock.setTime(at("2026-11-01T06:15:00Z"))
        yield* life(options, "loops", steps(60, MINUTE))
        const all = yield* life(options, "no loops", runs)
        assert.deepStrictEqual(
          all.map(({ outcome, slot }) => [outcome, slot]),
          [["completed", first]],
        )
      }),
    ),
  )
})

describe("a series whose every run fails", { timeout }, () => {
  const options: TimelineOptions = {
    script: () => failsTheMessage({ retryable: false, error: "no" }),
    policy: { idleMs: 10_000 },
  }

  it.effect("goes on for a week, hour by hour", () =>
    world(
      options,
      0,
      life(
        options,
        "loops",
        Effect.gen(function* () {
          yield* addTask(every(HOUR))
          for (let hour = 0; hour < 168; hour++) {
            yield* TestClock.setTime(hour * HOUR)
            yield* steps(6, 5_000)
          }
          const all = yield* runs
          assert.deepStrictEqual(
            all.map(({ outcome, slot }) => [outcome, slot]),
            Array.from({ length: 168 }, (_, hour) => ["failed" as const, hour * HOUR]),
          )
          const series = yield* seriesNow
          assert.deepInclude(series, { status: "active", nextSlot: 168 * HOUR, failuresInRow: 168 })
        }),
      ),
    ),
  )

  it.effect("pauses itself after three in a row where it says so, and only a resume brings it back", () =>
    world(
      options,
      0,
      life(
        options,
        "loops",
        Effect.gen(function* () {
          yield* addTask(every(HOUR), { policy: { pauseAfterFailures: 3 } })
          const day = Effect.forEach(
            Array.from({ length: 24 }, (_, hour) => hour),
            () => steps(12, 5 * MINUTE),
          )
          yield* day
          const paused = yield* seriesNow
          assert.strictEqual(paused.status, "paused")
          assert.include(paused.note, "3 failed runs in a row")
          assert.strictEqual((yield* runs).length, 3)
          yield* change({ _tag: "Resume" })
          assert.strictEqual((yield* seriesNow).status, "active")
          yield* day
          const all = yield* runs
          assert.deepStrictEqual(
            all.map(({ count, outcome }) => [outcome, count]),
            [
              ["failed", 1],
              ["failed", 1],
              ["failed", 1],
              ["paused", 22],
              ["failed", 1],
              ["failed", 1],
              ["failed", 1],
            ],
          )
        }),
      ),
    ),
  )
})

describe("a run that takes longer than its period", { timeout }, () => {
  /** Slots every ten minutes, runs of 24 minutes and what looks take, watched for two hours and a little. */
  const watched = (overlap: OverlapPolicy, policy: NewSeries["policy"] = {}) => {
    const options: TimelineOptions = {
      script: () => healthy({ workMs: 24 * MINUTE }),
      policy: { idleMs: 10_000 },
    }
    return world(
      options,
      0,
      life(
        options,
        "loops",
        Effect.gen(function* () {
          yield* addTask(every(10 * MINUTE), { overlap, policy })
          yield* steps(121 * 12, 5_000)
          const open = (yield* occurrences).filter(({ endedAt }) => endedAt === null)
          const all = yield* runs
          const minutes = (outcome: Run["outcome"]) =>
            all.flatMap((run) => (run.outcome === outcome ? [run.slot! / MINUTE] : []))
          return {
            completed: minutes("completed"),
            cancelled: minutes("cancelled"),
            /** Slots that became no occurrence; equal ones in a row are one row. */
            overlapped: all.reduce((sum, run) => sum + (run.outcome === "overlap" ? run.count : 0), 0),
            outcomes: new Set(all.map(({ outcome }) => outcome)),
            open: open.map(({ slot, state }) => [slot! / MINUTE, state]),
          }
        }),
      ),
    )
  }

  it.effect("skip: the next slot after its end, and the others are recorded", () =>
    Effect.gen(function* () {
      const seen = yield* watched("skip")
      assert.deepStrictEqual(seen.completed, [0, 30, 60, 90])
      assert.deepStrictEqual(seen.open, [[120, "claimed"]])
      assert.strictEqual(seen.overlapped, 8)
      assert.deepStrictEqual(seen.outcomes, new Set(["overlap", "completed"] as const))
    }),
  )

  it.effect("buffer-one: one waits, and goes when the one before has ended", () =>
    Effect.gen(function* () {
      const seen = yield* watched("buffer-one")
      // Each ends a little after 24, 48, 72, 96 and 120 minutes, and the first slot within each run waits for that.
      assert.deepStrictEqual(seen.completed, [0, 10, 30, 50, 80])
      assert.deepStrictEqual(seen.open, [[100, "claimed"]])
      assert.strictEqual(seen.overlapped, 7)
      assert.deepStrictEqual(seen.outcomes, new Set(["overlap", "completed"] as const))
    }),
  )

  it.effect("buffer-all: all wait in their order, as many as the limit allows, and drops are counted", () =>
    Effect.gen(function* () {
      const seen = yield* watched("buffer-all", { bufferLimit: 3 })
      assert.deepStrictEqual(seen.completed, [0, 10, 20, 30, 40])
      assert.deepStrictEqual(seen.open, [
        [50, "claimed"],
        [80, "pending"],
        [100, "pending"],
      ])
      assert.strictEqual(seen.overlapped, 5)
      assert.deepStrictEqual(seen.outcomes, new Set(["overlap", "completed"] as const))
    }),
  )

  it.effect("cancel-other: each is cancelled by the next, and only the newest lives", () =>
    Effect.gen(function* () {
      const seen = yield* watched("cancel-other")
      assert.deepStrictEqual(
        seen.cancelled,
        Array.from({ length: 12 }, (_, n) => n * 10),
      )
      assert.deepStrictEqual(seen.outcomes, new Set(["cancelled"] as const))
      assert.deepStrictEqual(
        seen.open.map(([slot]) => slot),
        [120],
      )
    }),
  )

  it.effect("allow-all, isolated: they run beside each other, and all complete", () =>
    Effect.gen(function* () {
      const seen = yield* watched("allow-all", { context: "isolated" })
      assert.deepStrictEqual(seen.completed, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90])
      assert.deepStrictEqual(seen.outcomes, new Set(["completed"] as const))
      assert.deepStrictEqual(seen.open, [
        [100, "claimed"],
        [110, "claimed"],
        [120, "claimed"],
      ])
    }),
  )
})

describe("isolated runs", { timeout }, () => {
  it.effect(
    "have a session each, answer where the task belongs, and leave nothing after their retention",
    () => {
      const options: TimelineOptions = { script: () => healthy(), policy: { idleMs: 10_000 } }
      return world(
        options,
        0,
        life(
          options,
          "loops",
          Effect.gen(function* () {
            const store = yield* SessionStore
            const sessions = store.read((reader) => reader.sessions({}, { limit: 100 }))
            yield* addTask(every(HOUR), {
              policy: { context: "isolated", isolatedRetentionMs: 2 * HOUR },
              bounds: { maxRuns: 3 },
            })
            yield* steps(3 * 60, MINUTE)
            const made = (yield* occurrences).map(({ sessionId }) => sessionId)
            assert.strictEqual(new Set(made).size, 3)
            assert.notInclude(made, SESSION)
            const channels = yield* MemoryChannels
            assert.deepStrictEqual(
              (yield* channels.sends).map(({ delivery }) => delivery.platformId),
              ["p1", "p1", "p1"],
            )
            yield* steps(4 * 60, MINUTE)
            assert.deepStrictEqual(
              (yield* sessions).map(({ id }) => id),
              [SESSION],
            )
            assert.strictEqual((yield* seriesNow).status, "completed")
          }),
        ),
      )
    },
  )
})

describe("update, pause and cancel at every point of an occurrence's life", { timeout }, () => {
  /** No loops: the daemon looks when the story says so. The container polls 20 s after its start, and works for 30 s. */
  const options: TimelineOptions = {
    script: () => (process) => Effect.andThen(Effect.sleep(20_000), healthy({ workMs: 30_000 })(process)),
  }
  const look = Sweep.use((sweep) => sweep.pass)
  const looks = (count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, n) => n),
      () => Effect.andThen(TestClock.adjust(1_000), look),
      { discard: true },
    )
  const SLOT = HOUR

  const points = {
    "before it is due": TestClock.setTime(SLOT - 1),
    "when its container was woken for it": Effect.andThen(TestClock.setTime(SLOT), looks(5)),
    "when it is claimed": Effect.andThen(TestClock.setTime(SLOT), looks(30)),
    "when it is acked, and nobody has read that": Effect.andThen(
      Effect.andThen(TestClock.setTime(SLOT), looks(30)),
      TestClock.adjust(60_000),
    ),
  } as const
  const stateAt = { claimed: "claimed", woken: "pending" } as const

  const operations = {
    update: { _tag: "Update", change: { recurrence: "every 7h" } },
    pause: { _tag: "Pause", note: "stop" },
    cancel: { _tag: "Cancel" },
  } as const satisfies Record<string, TaskChange>

  for (const [name, operation] of Object.entries(operations))
    for (const [point, reached] of Object.entries(points))
      it.effect(`${name} ${point}`, () =>
        world(
          options,
          0,
          life(
            options,
            "no loops",
            Effect.gen(function* () {
              yield* addTask(every(HOUR), { bounds: { startAt: SLOT } })
              yield* reached
              const [before] = yield* occurrences
              const claimed = point.includes("claimed") || point.includes("acked")
              if (point.includes("due")) assert.isUndefined(before)
              else assert.strictEqual(before?.state, claimed ? stateAt.claimed : stateAt.woken)
              const changed = yield* change(operation)
              yield* looks(120)
              // What had begun finishes; what had not is cancelled; nothing brings the old grid back.
              yield* TestClock.setTime(SLOT + 3 * HOUR)
              yield* looks(5)
              const all = yield* occurrences
              assert.deepStrictEqual(
                all.map(({ attempts, slot, state }) => [slot, state, attempts]),
                before === undefined ? [] : [[SLOT, claimed ? "completed" : "cancelled", claimed ? 1 : 0]],
              )
              const series = yield* seriesNow
              assert.strictEqual(
                series.status,
                name === "update" ? "active" : name === "pause" ? "paused" : "cancelled",
              )
              assert.strictEqual(series.revision, 2)
              if (name === "update") {
                assert.strictEqual(series.nextSlot, changed.nextSlot)
                assert.strictEqual(series.nextSlot! % MINUTE, (yield* occurrencesGrid) % MINUTE)
              }
              if (name === "cancel") assert.isNull(series.nextSlot)
            }),
          ),
        ),
      )

  /** The new grid is seven hours after the update. */
  const occurrencesGrid = Effect.map(seriesNow, ({ schedule }) =>
    schedule._tag === "Interval" ? schedule.anchor : Number.NaN,
  )
})

describe("a burst after an outage", { timeout }, () => {
  const MISSED = 500
  const CHATS = 20
  const policy = { idleMs: 5_000, maxContainersPerGroup: 100 }
  const limits = { maxContainers: 50, maxStartsPerSecond: 10 }

  /** As many tasks with a session each; the daemon is down for the day in which each had its one slot. */
  const outage = Effect.gen(function* () {
    const store = yield* SessionStore
    for (let n = 0; n < MISSED; n++) {
      const address = { channelType: "test", platformId: `task${n}`, threadId: null }
      const id = SessionId.make(`task${n}`)
      yield* store.resolveSession({ id, groupId: GROUP, mode: "shared", address })
      yield* store.createSeries(id, { ...task, id: SeriesId.make(`t${n}`), schedule: every(DAY, n * MINUTE) })
    }
  })
  const chats = Effect.gen(function* () {
    const store = yield* SessionStore
    const now = yield* Clock.currentTimeMillis
    for (let n = 0; n < CHATS; n++) {
      const address = { channelType: "test", platformId: `chat${n}`, threadId: null }
      const id = SessionId.make(`chat${n}`)
      yield* store.resolveSession({ id, groupId: GROUP, mode: "shared", address })
      const content = JSON.stringify({ text: "are you there?" })
      yield* store.accept(id, plainDraft({ id: MessageId.make(`m${n}`), kind: "chat", content, dueAt: now }))
    }
    yield* (yield* Bell).ring
  })
  const messages = SessionStore.use((store) =>
    store.read((reader) => reader.messages({}, { limit: 10_000 }).toReversed()),
  )

  /** Ten hours and a half after the last slot. */
  const RESTART = 1.8 * DAY

  it.effect("catches up at a bounded rate, and lets the chat that comes meanwhile through first", () => {
    const options: TimelineOptions = { script: () => healthy({ workMs: 3_000 }), policy, limits }
    return world(
      options,
      0,
      Effect.gen(function* () {
        yield* life(options, "no loops", outage)
        yield* TestClock.setTime(RESTART)
        const all = yield* life(
          options,
          "loops",
          Effect.gen(function* () {
            yield* steps(10, 1_000)
            yield* chats
            yield* steps(300, 1_000)
            return yield* messages
          }),
        )
        const caughtUp = all.filter(({ seriesId }) => seriesId !== null)
        const said = all.filter(({ kind }) => kind === "chat")
        assert.strictEqual(caughtUp.length, MISSED)
        assert.strictEqual(said.length, CHATS)
        assert.isTrue(all.every(({ attempts, state }) => state === "completed" && attempts === 1))
        // The chat waits for nobody but those who run: of the hundreds before it in time, none more is started.
        const arrived = Math.min(...said.map(({ acceptedAt }) => acceptedAt))
        const answered = Math.max(...said.map(({ wokenAt }) => wokenAt!))
        const before = caughtUp.filter(({ wokenAt }) => wokenAt! <= arrived)
        assert.isAbove(before.length, 0)
        assert.isBelow(before.length, MISSED / 2)
        assert.isEmpty(caughtUp.filter(({ wokenAt }) => wokenAt! > arrived && wokenAt! < answered))
        // One second's starts may have been saved up; after that so many come in each second, and so many live at once.
        const starts = all.map(({ wokenAt }) => wokenAt!)
        const within = (start: number, forMs: number) =>
          starts.filter((other) => other >= start && other < start + forMs).length
        const rate = limits.maxStartsPerSecond
        assert.isAtMost(Math.max(...starts.map((start) => within(start, 1_000))), 2 * rate)
        assert.isAtMost(Math.max(...starts.map((start) => within(start, 5_000))), 6 * rate)
        const most = all.map(
          ({ wokenAt }) =>
            all.filter((other) => other.wokenAt! <= wokenAt! && other.endedAt! > wokenAt!).length,
        )
        assert.isAtMost(Math.max(...most), limits.maxContainers)
      }),
    )
  })

  it.effect(
    "with `latest`, a day of a task that fires each minute is one run and one row about the others",
    () => {
      const options: TimelineOptions = { script: () => healthy(), policy }
      return world(
        options,
        0,
        Effect.gen(function* () {
          yield* life(options, "no loops", addTask(every(MINUTE)))
          yield* TestClock.setTime(DAY)
          yield* life(options, "loops", steps(20, 1_000))
          const all = yield* life(options, "no loops", runs)
          assert.deepStrictEqual(
            all.map(({ count, dueAt, outcome, slot }) => [outcome, dueAt, slot, count]),
            [
              ["missed", 0, DAY - MINUTE, 1_440],
              ["completed", DAY, DAY, 1],
            ],
          )
        }),
      )
    },
  )
})
