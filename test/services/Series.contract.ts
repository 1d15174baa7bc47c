/** The rules of recurring tasks in the ledger, on any driver: what each policy makes of slots, ends, failures and operators. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { MessageId, SeriesId, SessionId } from "../../src/domain/Ids.ts"
import { isTerminal, type Message, shownMessage } from "../../src/domain/Message.ts"
import { defaultHostLimits, defaultPolicy } from "../../src/domain/Policy.ts"
import type { Run } from "../../src/domain/Run.ts"
import type { Schedule } from "../../src/domain/Series.ts"
import type { LedgerDriver, LedgerError } from "../../src/services/LedgerDriver.ts"
import { clockWarning } from "../../src/services/ledger/ClockJumps.ts"
import { findSeries, refusedZones } from "../../src/services/ledger/FindSeries.ts"
import type { NewSeries, SeriesChange } from "../../src/services/ledger/SeriesTransitions.ts"
import { emptyReading } from "../../src/services/Mailbox.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { group, GROUP, SESSION } from "../../src/testing/Timeline.ts"
import { ack, reading, row } from "./SessionStore.contract.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const T1 = SeriesId.make("t1")
const exit = { exitCode: 0, signal: null, oomKilled: false, manner: "exited" as const }

const everyMinute: NewSeries & { readonly schedule: Schedule } = {
  id: T1,
  name: null,
  prompt: "tick",
  script: null,
  schedule: { _tag: "Interval", everyMs: MINUTE, anchor: MINUTE },
  priority: 1,
  ttlMs: null,
  channelType: null,
  platformId: null,
  threadId: null,
}

type Store = SessionStore["Service"]

const task = (store: Store) =>
  Effect.map(
    store.read((reader) => reader.series(T1)),
    (found) => found ?? assert.fail("there is no task"),
  )

/** Lets the clock stand at this instant, and the daemon look. */
const at = (store: Store, instant: number) => Effect.andThen(TestClock.setTime(instant), store.fireSlots(100))

const occurrences = (store: Store) =>
  Effect.map(
    store.read((reader) => reader.messages({ seriesId: T1 }, { limit: 500 })),
    (rows) => rows.toReversed(),
  )

const open = (store: Store) =>
  Effect.map(occurrences(store), (rows) => rows.filter(({ state }) => !isTerminal(state)))

const slotsOf = (rows: ReadonlyArray<Message>) => rows.map(({ slot }) => (slot ?? 0) / MINUTE)

/** Rows of history that are no occurrence: outcome, first and last slot in minutes, count. */
const notRun = (store: Store) =>
  Effect.map(
    store.read((reader) => reader.runs({ seriesId: T1 }, { limit: 500 })),
    (rows) =>
      rows
        .filter(({ messageId }) => messageId === null)
        .toReversed()
        .map((run: Run) => [run.outcome, run.dueAt / MINUTE, (run.slot ?? 0) / MINUTE, run.count]),
  )

/** A container claims the oldest open occurrence of its session, and goes on with it until it is told how to end. */
const claim = Effect.fnUntraced(function* (store: Store, message: Message) {
  const begun = yield* store.beginIncarnation(message.sessionId, "due", "boot")
  const { number } = begun.incarnation
  yield* store.markStarted(message.sessionId, number, "{}")
  yield* store.ingest(
    { sessionId: message.sessionId, number },
    reading({ acks: [ack(message.id, "processing", message.tries)] }),
  )
  return (status: "completed" | "failed", retryable = false) =>
    Effect.andThen(
      store.ingest(
        { sessionId: message.sessionId, number },
        reading({
          acks: [
            ack(message.id, status, message.tries, { retryable, error: status === "failed" ? "no" : null }),
          ],
        }),
      ),
      store.endIncarnation(message.sessionId, number, exit, emptyReading),
    )
})

const first = <A>(rows: ReadonlyArray<A>): A => rows[0] ?? assert.fail("there is no such row")

export const seriesContract = (name: string, ledger: Layer.Layer<LedgerDriver, LedgerError>): void => {
  const story = <A, E>(title: string, tell: (store: Store) => Effect.Effect<A, E, SessionStore>) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const store = yield* SessionStore
        yield* store.putGroup({ ...group, createdAt: 0, revision: 1 })
        yield* store.resolveSession({
          id: SESSION,
          groupId: GROUP,
          mode: "shared",
          address: { channelType: "test", platformId: "p1", threadId: null },
        })
        return yield* tell(store)
      }).pipe(
        Effect.provide(
          SessionStore.layer({ policy: defaultPolicy, limits: defaultHostLimits, zone: "UTC" }).pipe(
            Layer.provideMerge(ledger),
          ),
        ),
      ),
    )

  describe(`recurring tasks, ${name}`, () => {
    describe("a run that takes longer than its period", () => {
      story("skip: the slots meanwhile are one row of history", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          yield* at(store, MINUTE)
          const end = yield* claim(store, first(yield* open(store)))
          for (let minute = 2; minute <= 5; minute++) yield* at(store, minute * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [1])
          yield* end("completed")
          yield* at(store, 6 * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [6])
          assert.deepStrictEqual(yield* notRun(store), [["overlap", 2, 5, 4]])
        }),
      )

      story(
        "buffer-one: the first slot meanwhile waits and runs at the end, the others are skipped",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, { ...everyMinute, overlap: "buffer-one" })
            yield* at(store, MINUTE)
            const end = yield* claim(store, first(yield* open(store)))
            for (let minute = 2; minute <= 5; minute++) yield* at(store, minute * MINUTE)
            assert.deepStrictEqual(slotsOf(yield* open(store)), [1, 2])
            assert.isNull(
              yield* store.read((reader) => {
                const next = reader.session(SESSION)?.wakeAt ?? null
                return next !== null && next <= 5 * MINUTE ? next : null
              }),
              "what is held back wakes nobody",
            )
            yield* end("completed")
            const [released] = yield* open(store)
            assert.deepStrictEqual([released?.slot, released?.dueAt], [2 * MINUTE, 5 * MINUTE])
            assert.deepStrictEqual(yield* notRun(store), [["overlap", 3, 5, 3]])
          }),
      )

      story("buffer-all: they wait in order, up to the limit, and what is dropped is counted", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            overlap: "buffer-all",
            policy: { bufferLimit: 2 },
          })
          yield* at(store, MINUTE)
          let end = yield* claim(store, first(yield* open(store)))
          for (let minute = 2; minute <= 5; minute++) yield* at(store, minute * MINUTE)
          for (const slot of [2, 3]) {
            yield* end("completed")
            const due = (yield* open(store)).filter(({ dueAt }) => dueAt <= 5 * MINUTE)
            assert.deepStrictEqual(slotsOf(due), [slot])
            end = yield* claim(store, first(due))
          }
          yield* end("completed")
          assert.deepStrictEqual(yield* open(store), [])
          assert.deepStrictEqual(yield* notRun(store), [["overlap", 4, 5, 2]])
        }),
      )

      story(
        "cancel-other: the container is stopped, its other claims pay nothing, the new one runs",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, { ...everyMinute, overlap: "cancel-other" })
            yield* at(store, MINUTE)
            const running = first(yield* open(store))
            yield* claim(store, running)
            yield* at(store, 2 * MINUTE)
            const [cancelled, next] = yield* occurrences(store)
            assert.deepStrictEqual([cancelled?.state, next?.state], ["cancelled", "pending"])
            const life = yield* store.read((reader) => reader.incarnation(SESSION, 1))
            assert.deepStrictEqual([life?.phase, life?.stopReason], ["stopping", "cancelled"])
            yield* store.endIncarnation(SESSION, 1, exit, reading({ acks: [ack(running.id, "completed")] }))
            assert.strictEqual(
              first(yield* occurrences(store)).state,
              "cancelled",
              "a late ack revives nothing",
            )
            const end = yield* claim(store, first(yield* open(store)))
            yield* end("completed")
            assert.deepStrictEqual(
              (yield* occurrences(store)).map(({ state, tries }) => [state, tries]),
              [
                ["cancelled", 0],
                ["completed", 0],
              ],
            )
          }),
      )

      story("allow-all: every slot has its occurrence", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          for (let minute = 1; minute <= 4; minute++) yield* at(store, minute * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [1, 2, 3, 4])
          assert.deepStrictEqual(yield* notRun(store), [])
        }),
      )
    })

    describe("a daemon that was down for an hour", () => {
      for (const [catchUp, ran, missed] of [
        ["latest", [60], [["missed", 1, 59, 59]]],
        ["skip", [60], [["missed", 1, 59, 59]]],
        ["all", [58, 59, 60], [["missed", 1, 57, 57]]],
      ] as const)
        story(`${catchUp}: as the policy says, and never twice`, (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, {
              ...everyMinute,
              overlap: "allow-all",
              catchUp,
              policy: { catchUpCap: 3 },
            })
            yield* at(store, HOUR)
            yield* at(store, HOUR)
            assert.deepStrictEqual(slotsOf(yield* open(store)), [...ran])
            assert.deepStrictEqual(
              yield* notRun(store),
              missed.map((row) => [...row]),
            )
          }),
        )

      story("a window: older slots are recorded as missed only", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            overlap: "allow-all",
            catchUp: "all",
            policy: { catchUpWindowMs: 5 * MINUTE },
          })
          yield* at(store, HOUR)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [55, 56, 57, 58, 59, 60])
        }),
      )
    })

    describe("turns", () => {
      story("what is caught up or backfilled goes behind what is on time", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          yield* at(store, MINUTE)
          yield* at(store, 10 * MINUTE + 60_001)
          yield* store.runSeriesNow(T1, MessageId.make("now-1"))
          yield* store.backfillSeries(T1, { name: "b1", from: MINUTE, to: MINUTE })
          const seen = (yield* occurrences(store)).map(({ priority, slot, slotOrigin }) => [
            slotOrigin,
            slot,
            priority,
          ])
          assert.deepStrictEqual(seen, [
            ["schedule", MINUTE, 1],
            ["schedule", 11 * MINUTE, 1],
            ["run-now", null, 1],
            ["backfill:b1", MINUTE, 0],
          ])
          yield* store.changeSeries(T1, { _tag: "Update", change: { catchUp: "all" } })
          yield* at(store, 20 * MINUTE)
          assert.deepStrictEqual(
            (yield* occurrences(store)).slice(4).map(({ priority }) => priority),
            [0, 0, 0, 0, 0, 0, 0, 1, 1],
          )
        }),
      )
    })

    describe("history", () => {
      story(
        "the log of a life is named in the rows of the runs that ended in it, and in no others",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, everyMinute)
            for (const minute of [1, 2]) {
              yield* at(store, minute * MINUTE)
              const end = yield* claim(store, first(yield* open(store)))
              yield* end("completed")
            }
            yield* store.recordLog(SESSION, 2, "/logs/two")
            const runs = yield* store.read((reader) => reader.runs({ seriesId: T1 }, { limit: 10 }))
            assert.deepStrictEqual(
              runs.map(({ incarnation, logFile }) => [incarnation, logFile]),
              [
                [2, "/logs/two"],
                [1, null],
              ],
            )
          }),
      )
    })

    describe("failures", () => {
      story("never end a series; with a limit it pauses itself, and says why", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, policy: { pauseAfterFailures: 3 } })
          for (let minute = 1; minute <= 3; minute++) {
            assert.strictEqual((yield* task(store)).status, "active")
            yield* at(store, minute * MINUTE)
            const end = yield* claim(store, first(yield* open(store)))
            yield* end("failed")
          }
          const paused = yield* task(store)
          assert.strictEqual(paused.status, "paused")
          assert.include(paused.note, "3 failed runs")
          yield* at(store, 10 * MINUTE)
          assert.deepStrictEqual(yield* open(store), [])
          yield* store.changeSeries(T1, { _tag: "Resume" })
          yield* at(store, 11 * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [11])
          assert.strictEqual((yield* task(store)).failuresInRow, 0)
        }),
      )

      story("a good run in between starts the count again", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, policy: { pauseAfterFailures: 2 } })
          for (const [index, status] of (["failed", "completed", "failed"] as const).entries()) {
            yield* at(store, (index + 1) * MINUTE)
            const end = yield* claim(store, first(yield* open(store)))
            yield* end(status)
          }
          assert.strictEqual((yield* task(store)).status, "active")
        }),
      )

      story("a task's own retry limit holds in place of the group's", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            policy: { retryLimit: 1, retryBaseMs: 1_000 },
          })
          yield* at(store, MINUTE)
          const end = yield* claim(store, first(yield* open(store)))
          yield* end("failed", true)
          const retried = first(yield* open(store))
          assert.deepStrictEqual([retried.tries, retried.dueAt], [1, MINUTE + 1_000])
          yield* TestClock.setTime(MINUTE + 1_000)
          const again = yield* claim(store, retried)
          yield* again("failed", true)
          assert.strictEqual(first(yield* occurrences(store)).state, "failed")
        }),
      )
    })

    describe("limits of a run", () => {
      story("start-to-close: what runs longer is cancelled, exactly at the limit it may go on", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, policy: { startToCloseMs: 10_000 } })
          yield* at(store, MINUTE)
          yield* claim(store, first(yield* open(store)))
          yield* TestClock.setTime(MINUTE + 10_000)
          assert.strictEqual(yield* store.cancelOverdue(SESSION, 0, MINUTE + 10_000), 0)
          yield* TestClock.setTime(MINUTE + 10_001)
          assert.strictEqual(yield* store.cancelOverdue(SESSION, 0, MINUTE + 10_001), 1)
          const [cancelled] = yield* occurrences(store)
          assert.deepStrictEqual([cancelled?.state, cancelled?.tries], ["cancelled", 0])
          assert.include(cancelled?.error, "startToCloseMs")
          assert.strictEqual(
            (yield* store.read((reader) => reader.incarnation(SESSION, 1)))?.phase,
            "stopping",
          )
        }),
      )

      story("a TTL: an occurrence that nothing claimed expires, and the series goes on", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, ttlMs: 10_000 })
          yield* at(store, MINUTE)
          yield* TestClock.setTime(MINUTE + 10_001)
          assert.strictEqual(yield* store.expireMessages(10), 1)
          yield* at(store, 2 * MINUTE)
          assert.deepStrictEqual(
            (yield* occurrences(store)).map(({ state }) => state),
            ["expired", "pending"],
          )
        }),
      )

      story("a maximum of runs and an end complete the series", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all", bounds: { maxRuns: 2 } })
          for (let minute = 1; minute <= 4; minute++) yield* at(store, minute * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* occurrences(store)), [1, 2])
          assert.deepStrictEqual(
            [(yield* task(store)).status, (yield* task(store)).nextSlot],
            ["completed", null],
          )
        }),
      )

      story("bounds that leave no slot are refused at creation", (store) =>
        Effect.gen(function* () {
          const refused = yield* Effect.flip(
            store.createSeries(SESSION, { ...everyMinute, bounds: { startAt: HOUR, endAt: HOUR - 1 } }),
          )
          assert.strictEqual(refused._tag, "Invalid")
          assert.isUndefined(yield* store.read((reader) => reader.series(T1)))
        }),
      )
    })

    describe("isolated runs", () => {
      story(
        "have a session each, which answers where the task belongs and is marked for removal at the end",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, {
              ...everyMinute,
              overlap: "allow-all",
              policy: { context: "isolated" },
            })
            yield* at(store, MINUTE)
            yield* at(store, 2 * MINUTE)
            const [one, two] = yield* open(store)
            assert.notStrictEqual(one?.sessionId, two?.sessionId)
            const fresh = yield* store.read((reader) => reader.session(one?.sessionId ?? SESSION))
            assert.deepInclude(fresh, {
              origin: "task",
              channelType: "test",
              platformId: "p1",
              incarnation: 0,
            })
            const end = yield* claim(store, first(yield* open(store)))
            yield* end("completed")
            const after = yield* store.read((reader) => reader.session(one?.sessionId ?? SESSION))
            assert.strictEqual(after?.expiresAt, 2 * MINUTE + 86_400_000)
            assert.isNull(
              yield* store.read((reader) => reader.session(SessionId.make(SESSION))?.expiresAt ?? null),
            )
          }),
      )
    })

    describe("retention", () => {
      story("removes the session of an isolated run when its time is over, and keeps the history", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            bounds: { maxRuns: 1 },
            policy: { context: "isolated", isolatedRetentionMs: HOUR },
          })
          yield* at(store, MINUTE)
          const run = first(yield* open(store))
          const end = yield* claim(store, run)
          assert.deepStrictEqual(yield* store.removeExpired(10), [])
          yield* end("completed")
          yield* TestClock.setTime(MINUTE + HOUR)
          assert.deepStrictEqual(yield* store.removeExpired(10), [])
          yield* TestClock.setTime(MINUTE + HOUR + 1)
          assert.deepStrictEqual(
            (yield* store.removeExpired(10)).map(({ id }) => id),
            [run.sessionId],
          )
          assert.isUndefined(yield* store.read((reader) => reader.session(run.sessionId)))
          assert.isDefined(yield* store.read((reader) => reader.session(SESSION)))
          const runs = yield* store.read((reader) => reader.runs({ seriesId: T1 }, { limit: 10 }))
          assert.deepStrictEqual(
            runs.map(({ outcome }) => outcome),
            ["completed"],
          )
        }),
      )
    })

    describe("an agent", () => {
      /** What its session is told after this action, with the kind: `chat` wakes it, `system` rides along. */
      const told = Effect.fnUntraced(function* (store: Store, message: Message, action: object) {
        const { sessionId } = message
        const session = yield* store.read((reader) => reader.session(sessionId)!)
        const sequence = session.hostSeq
        yield* store.ingest(
          { sessionId, number: session.incarnation },
          reading({
            outbound: [row(`a${sequence}`, { kind: "system", content: JSON.stringify(action) })],
            acks: [ack(message.id, "processing", message.tries)],
          }),
        )
        const messages = yield* store.read((reader) => reader.messages({ sessionId }, { limit: 50 }))
        const notices = messages.filter(({ id, seq }) => id.startsWith("notice-") && seq > sequence)
        assert.strictEqual(notices.length, 1)
        return [notices[0]?.kind, String(JSON.parse(notices[0]?.content ?? "{}").text)] as const
      })

      story("asks for its tasks, runs one now, backfills one, and is answered each time", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          yield* at(store, MINUTE)
          const occurrence = first(yield* open(store))
          yield* claim(store, occurrence)
          const ask = (action: object) => told(store, occurrence, action)
          const [listKind, list] = yield* ask({ action: "list_tasks" })
          assert.strictEqual(listKind, "chat")
          assert.include(list, "t1 (revision 1): every minute")
          // By the id that it has before its eyes, that of the occurrence.
          const [showKind, shown] = yield* ask({ action: "show_task", taskId: occurrence.id, count: 2 })
          assert.strictEqual(showKind, "chat")
          assert.include(shown, "next: 1970-01-01T00:02:00+00:00[UTC], 1970-01-01T00:03:00+00:00[UTC]")
          const [runKind, run] = yield* ask({ action: "run_task", taskId: "t1" })
          assert.strictEqual(runKind, "system")
          assert.include(run, "it runs now")
          const [, filled] = yield* ask({
            action: "backfill_task",
            taskId: "t1",
            from: "1970-01-01T00:01:00Z",
            to: "1970-01-01T00:01:00Z",
          })
          assert.include(filled, "1 runs are queued")
          assert.deepStrictEqual(
            (yield* occurrences(store)).map(({ slotOrigin }) => slotOrigin),
            ["schedule", "run-now", "backfill:agent"],
          )
          const [refusedKind, refused] = yield* ask({
            action: "backfill_task",
            taskId: "t1",
            from: "noon",
            to: "now",
          })
          assert.deepStrictEqual([refusedKind, refused.includes("'noon' is not an instant")], ["chat", true])
        }),
      )

      story("says at the making of a task what operators can say", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          yield* at(store, MINUTE)
          const occurrence = first(yield* open(store))
          yield* claim(store, occurrence)
          const id = SeriesId.make("t2")
          const [, done] = yield* told(store, occurrence, {
            action: "schedule_task",
            taskId: id,
            prompt: "tock",
            recurrence: "0 9 * * *",
            overlap: "buffer-one",
            policy: { pauseAfterFailures: 3, context: "isolated" },
            bounds: { maxRuns: 2 },
            priority: 2,
          })
          assert.include(done, "next: 1970-01-01T09:00:00+00:00[UTC]")
          const made = yield* store.read((reader) => findSeries(reader, id)!)
          assert.deepInclude(made, { overlap: "buffer-one", priority: 2 })
          assert.deepInclude(made.policy, { pauseAfterFailures: 3, context: "isolated", bufferLimit: 100 })
          const [kind, refused] = yield* told(store, occurrence, {
            action: "update_task",
            taskId: id,
            overlap: "sometimes",
          })
          const [, both] = yield* told(store, occurrence, {
            action: "schedule_task",
            taskId: "t3",
            prompt: "first at noon, then every day at nine",
            recurrence: "0 9 * * *",
            processAfter: "1970-01-01T12:00:00Z",
            zone: "Europe/London",
          })
          assert.include(
            both,
            "next: 1970-01-01T13:00:00+01:00[Europe/London], 1970-01-02T09:00:00+01:00[Europe/London]",
          )
          assert.deepStrictEqual([kind, refused.includes("fields are wrong")], ["chat", true])
        }),
      )

      story("asks in vain for a schedule without a slot left, and that leaves nothing half done", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, bounds: { endAt: 5 * MINUTE } })
          yield* at(store, MINUTE)
          const occurrence = first(yield* open(store))
          yield* claim(store, occurrence)
          yield* store.changeSeries(T1, { _tag: "Pause", note: null })
          yield* at(store, 10 * MINUTE)
          const [, refused] = yield* told(store, occurrence, {
            action: "update_task",
            taskId: T1,
            recurrence: "every 7m",
          })
          assert.include(refused, "no slot left")
          yield* store.changeSeries(T1, { _tag: "Resume" })
          assert.strictEqual((yield* task(store)).status, "completed")
          assert.deepStrictEqual(yield* notRun(store), [["paused", 2, 5, 4]])
        }),
      )

      story("in an isolated run changes the tasks of the session that its task belongs to", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, policy: { context: "isolated" } })
          yield* at(store, MINUTE)
          const occurrence = first(yield* open(store))
          assert.notStrictEqual(occurrence.sessionId, SESSION)
          yield* claim(store, occurrence)
          const [, scheduled] = yield* told(store, occurrence, {
            action: "schedule_task",
            taskId: "t2",
            prompt: "later",
            recurrence: "@daily",
          })
          assert.include(scheduled, "schedule_task t2 is done")
          const made = yield* store.read((reader) => findSeries(reader, "t2"))
          assert.strictEqual(made?.sessionId, SESSION, "it must not go with the session of this run")
          yield* told(store, occurrence, { action: "pause_task", taskId: "t1", note: "enough for today" })
          const paused = yield* task(store)
          assert.deepStrictEqual([paused.status, paused.note], ["paused", "enough for today"])
        }),
      )

      story("in an isolated run that waits for its retry cancels its own task, and itself with it", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, policy: { context: "isolated" } })
          yield* at(store, MINUTE)
          const run = first(yield* open(store))
          yield* claim(store, run)
          yield* store.ingest(
            { sessionId: run.sessionId, number: 1 },
            reading({
              acks: [ack(run.id, "failed", 0, { error: "not now" })],
              outbound: [
                row("a1", {
                  kind: "system",
                  content: JSON.stringify({ action: "cancel_task", taskId: "t1" }),
                }),
              ],
            }),
          )
          const session = yield* store.read((reader) => reader.session(run.sessionId)!)
          const waiting = yield* store.read((reader) =>
            reader.messages({ sessionId: run.sessionId, states: ["pending", "claimed"] }, { limit: 50 }),
          )
          assert.strictEqual((yield* task(store)).status, "cancelled")
          assert.strictEqual(session.queued, waiting.length, "the session counts what it has")
        }),
      )
    })

    describe("a zone that nobody may choose any more", () => {
      const dhaka: NewSeries = {
        ...everyMinute,
        schedule: { _tag: "Cron", expression: "0 9 * * *", zone: "BST" },
      }

      story("is refused for a new task, and where a task's zone changes", (store) =>
        Effect.gen(function* () {
          const made = yield* Effect.flip(store.createSeries(SESSION, { ...everyMinute, zone: "BST" }))
          assert.include(made.message, "Europe/London")
          yield* store.createSeries(SESSION, { ...everyMinute, zone: "us/eastern" })
          assert.strictEqual((yield* task(store)).zone, "America/New_York")
          const changed = yield* Effect.flip(
            store.changeSeries(T1, { _tag: "Update", change: { zone: "PST" } }),
          )
          assert.include(changed.message, "America/Los_Angeles")
        }),
      )

      story("keeps firing where it is stored, can be updated otherwise, and is listed", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, dhaka)
          yield* at(store, 3 * HOUR)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [180])
          yield* store.changeSeries(T1, { _tag: "Update", change: { prompt: "tock" } })
          const listed = yield* store.read((reader) => refusedZones(reader, 10))
          assert.deepStrictEqual(
            listed.map(({ id, kind, zone }) => [kind, id, zone]),
            [["task", T1, "BST"]],
          )
          assert.include(first(listed).problem, "Europe/London")
          yield* store.changeSeries(T1, { _tag: "Cancel" })
          assert.deepStrictEqual(yield* store.read((reader) => refusedZones(reader, 10)), [])
        }),
      )
    })

    describe("a grid", () => {
      const update = (store: Store, change: SeriesChange) =>
        store.changeSeries(T1, { _tag: "Update", change })
      const written = (recurrence: string, more: Partial<NewSeries> = {}): NewSeries => ({
        ...everyMinute,
        schedule: { recurrence },
        ...more,
      })

      story("begins at the instant of its making: anchor and first slot are one", (store) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(7 * MINUTE + 1)
          const made = yield* store.createSeries(SESSION, written("every 30d"))
          assert.strictEqual(made.nextSlot, 7 * MINUTE + 1)
          assert.deepInclude(made.schedule, { anchor: 7 * MINUTE + 1 })
        }),
      )

      story("begins at the start that was asked for, when that is still to come", (store) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(7 * MINUTE + 1)
          const startAt = 2 * HOUR + 7
          const made = yield* store.createSeries(SESSION, written("every 10m", { bounds: { startAt } }))
          assert.strictEqual(made.nextSlot, startAt)
          assert.deepInclude(made.schedule, { anchor: startAt })
          const late = yield* store.createSeries(
            SESSION,
            written("every 10m", { id: SeriesId.make("t2"), bounds: { startAt: 5 } }),
          )
          assert.strictEqual(late.nextSlot, 7 * MINUTE + 1)
        }),
      )

      story("another interval first fires when it is over", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          yield* at(store, 3 * MINUTE)
          yield* TestClock.setTime(3 * MINUTE + 5)
          assert.strictEqual((yield* update(store, { recurrence: "every 7m" })).nextSlot, 10 * MINUTE + 5)
        }),
      )

      story("the same interval again and again neither moves nor holds it up", (store) =>
        Effect.gen(function* () {
          const made = yield* store.createSeries(SESSION, written("every 20s", { overlap: "allow-all" }))
          for (let second = 8; second <= 120; second += 8) {
            yield* at(store, second * 1_000)
            assert.deepInclude(yield* update(store, { recurrence: "every 20s" }), {
              revision: 1,
              schedule: made.schedule,
            })
          }
          assert.deepStrictEqual(
            (yield* occurrences(store)).map(({ slot }) => (slot ?? 0) / 1_000),
            [0, 20, 40, 60, 80, 100, 120],
          )
          const stale = yield* Effect.flip(update(store, { recurrence: "every 20s", revision: 7 }))
          assert.strictEqual(stale._tag, "Conflict")
        }),
      )

      story("whatever is said again is no change", (store) =>
        Effect.gen(function* () {
          const made = yield* store.createSeries(
            SESSION,
            written("0 * * * *", {
              bounds: { endAt: 90 * HOUR, jitterMs: 50_000 },
              policy: { retryLimit: 3 },
            }),
          )
          for (const change of [
            { recurrence: "0 * * * *" },
            { recurrence: "@hourly", zone: "UTC" },
            { zone: "etc/utc" },
            { bounds: { endAt: 90 * HOUR } },
            { bounds: { jitterMs: 50_000, exclusions: [] } },
            { policy: { retryLimit: 3 }, overlap: "skip", prompt: "tick", ttlMs: null, priority: 1 },
            { processAfter: new Date(made.nextSlot ?? 0).toISOString() },
            {},
          ] satisfies ReadonlyArray<SeriesChange>)
            assert.deepStrictEqual(yield* update(store, change), made)
        }),
      )

      for (const [what, change, stays] of [
        ["the same schedule and a later end", { bounds: { endAt: 9 * HOUR } }, true],
        ["more jitter", { bounds: { jitterMs: 1_000 } }, true],
        ["another excluded date", { bounds: { exclusions: ["1970-01-02"] } }, true],
        ["a schedule that has the slot too", { recurrence: "*/30 * * * *" }, true],
        ["another zone whose grid has it too", { zone: "Europe/Paris" }, true],
        ["an end before it", { bounds: { endAt: HOUR - 1, startAt: null } }, "refused"],
        ["its date excluded", { bounds: { exclusions: ["1970-01-01"] } }, false],
        ["a schedule without it", { recurrence: "30 * * * *" }, false],
        ["a zone without it", { zone: "Asia/Kolkata" }, false],
      ] as ReadonlyArray<readonly [string, SeriesChange, boolean | "refused"]>)
        story(`an occurrence that waits ${stays === true ? "stays" : "goes"} with ${what}`, (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, written("0 * * * *", { bounds: { jitterMs: 50_000 } }))
            yield* at(store, HOUR)
            const [waiting] = yield* open(store)
            assert.strictEqual(waiting?.slot, HOUR)
            if (stays === "refused") {
              assert.strictEqual((yield* Effect.flip(update(store, change)))._tag, "Invalid")
              return
            }
            yield* update(store, change)
            assert.strictEqual((yield* open(store)).length, stays ? 1 : 0)
          }),
        )

      story("goes when the recurrence is removed: the next run is the last", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          yield* at(store, MINUTE)
          const changed = yield* update(store, { recurrence: null })
          assert.deepStrictEqual(changed.schedule, { _tag: "Once", at: 2 * MINUTE })
          yield* at(store, 2 * MINUTE)
          assert.strictEqual((yield* task(store)).status, "completed")
        }),
      )
    })

    describe("a clock that is set back", () => {
      const setBack = (store: Store, from: number, to: number) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(to)
          yield* store.noteClockJump(to - from)
          while ((yield* store.reanchorIntervals(1)) >= 1);
        })
      const seconds = (store: Store) =>
        Effect.map(occurrences(store), (rows) => rows.map(({ slot }) => (slot ?? 0) / 1_000))

      story(
        "leaves intervals their elapsed time, and no slot is lost for having been there before",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, {
              ...everyMinute,
              schedule: { _tag: "Interval", everyMs: 10_000, anchor: 2 * HOUR },
              overlap: "allow-all",
              bounds: { jitterMs: 5_000 },
            })
            for (const after of [0, 10, 20, 30]) yield* at(store, 2 * HOUR + after * 1_000)
            yield* setBack(store, 2 * HOUR + 34_000, HOUR + 34_000)
            const series = yield* task(store)
            assert.deepInclude(series, { grid: 1, nextSlot: HOUR + 40_000, lastSlot: HOUR + 30_000 })
            for (const row of yield* open(store)) assert.isAtMost(row.dueAt, HOUR + 39_000)
            yield* at(store, HOUR + 40_000)
            // Back to the instants of before: an hour is a multiple of the interval.
            yield* at(store, 2 * HOUR)
            yield* at(store, 2 * HOUR + 10_000)
            assert.deepStrictEqual((yield* seconds(store)).slice(-3), [3_640, 7_200, 7_210])
            const keys = (yield* occurrences(store)).map(({ id }) => id)
            assert.strictEqual(new Set(keys).size, keys.length)
            const warned = (now: number) => store.read((reader) => clockWarning(reader, now))
            assert.include((yield* warned(2 * HOUR))[0], `set back by ${HOUR} ms`)
            assert.deepStrictEqual(yield* warned(26 * HOUR), [])
            const events = yield* store.read((reader) => reader.events({}, { limit: 500 }))
            assert.include(events.find(({ type }) => type === "clock")?.text, `${HOUR}`)
          }),
      )

      story("an isolated run that waits is woken for at its new instant", (store) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(2 * HOUR)
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            schedule: { recurrence: "every 1h" },
            bounds: { jitterMs: HOUR },
            policy: { context: "isolated" },
          })
          yield* at(store, 2 * HOUR)
          const before = first(yield* open(store))
          yield* setBack(store, 2 * HOUR, HOUR)
          const after = first(yield* open(store))
          assert.strictEqual(after.dueAt, before.dueAt - HOUR)
          const session = yield* store.read((reader) => reader.session(after.sessionId))
          assert.strictEqual(session?.wakeAt, after.dueAt)
        }),
      )

      for (const [what, schedule, more] of [
        ["cron", { recurrence: "30 * * * *" }, {}],
        [
          "a first run that was asked for",
          { recurrence: "every 10m", processAfter: "1970-01-01T05:00:00Z" },
          {},
        ],
        ["a start that is still to come", { recurrence: "every 10m" }, { bounds: { startAt: 5 * HOUR } }],
        ["an instant", { recurrence: null, processAfter: "1970-01-01T05:00:00Z" }, {}],
      ] as const)
        story(`leaves ${what} where it is`, (store) =>
          Effect.gen(function* () {
            yield* TestClock.setTime(2 * HOUR)
            const made = yield* store.createSeries(SESSION, { ...everyMinute, schedule, ...more })
            yield* setBack(store, 2 * HOUR, HOUR)
            assert.deepStrictEqual(yield* task(store), made)
          }),
        )

      story("moves what was made before it, not what was made after", (store) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(2 * HOUR)
          yield* store.createSeries(SESSION, { ...everyMinute, schedule: { recurrence: "every 5m" } })
          yield* at(store, 2 * HOUR)
          yield* TestClock.setTime(HOUR)
          const made = yield* store.createSeries(SESSION, {
            ...everyMinute,
            id: SeriesId.make("t2"),
            schedule: { recurrence: "every 5m" },
          })
          yield* store.noteClockJump(-HOUR)
          assert.isBelow(yield* store.reanchorIntervals(100), 100)
          assert.strictEqual((yield* task(store)).nextSlot, HOUR + 5 * MINUTE)
          const after = yield* store.read((reader) => reader.series(SeriesId.make("t2")))
          assert.strictEqual(after?.nextSlot, made.nextSlot)
          assert.strictEqual(yield* store.reanchorIntervals(100), 0)
        }),
      )
    })

    story("what was missed is told with the outage that the daemon saw", (store) =>
      Effect.gen(function* () {
        yield* store.createSeries(SESSION, everyMinute)
        yield* at(store, MINUTE)
        yield* TestClock.setTime(60 * MINUTE)
        yield* store.fireSlots(100, { from: MINUTE, to: 60 * MINUTE, cause: "jumped" })
        yield* TestClock.setTime(90 * MINUTE)
        yield* store.fireSlots(100, { from: MINUTE, to: 60 * MINUTE, cause: "jumped" })
        const runs = yield* store.read((reader) => reader.runs({ seriesId: T1 }, { limit: 9 }))
        assert.deepStrictEqual(
          runs.filter(({ outcome }) => outcome === "missed").map(({ error }) => error),
          ["the daemon was not running", "the host slept, or its clock was set forward"],
        )
      }),
    )

    story("an occurrence that waits for the run before it has no instant, wherever it is shown", (store) =>
      Effect.gen(function* () {
        yield* store.createSeries(SESSION, { ...everyMinute, overlap: "buffer-all" })
        yield* at(store, MINUTE)
        const end = yield* claim(store, first(yield* open(store)))
        yield* at(store, 2 * MINUTE)
        const waiting = (yield* open(store)).at(-1) ?? assert.fail("nothing waits")
        assert.deepInclude(shownMessage(waiting), { slot: 2 * MINUTE, dueAt: null, firstDueAt: null })
        const session = yield* store.read((reader) => reader.session(SESSION))
        assert.isNull(session?.wakeAt)
        // Not in the history of one that was cancelled either.
        yield* store.cancelMessage(waiting.id)
        const [run] = yield* store.read((reader) => reader.runs({ seriesId: T1 }, { limit: 1 }))
        assert.deepInclude(run, { outcome: "cancelled", dueAt: 2 * MINUTE })
        yield* end("completed")
      }),
    )

    describe("operators", () => {
      story(
        "an update moves the pending occurrence to the new grid; a claimed one finishes as it was",
        (store) =>
          Effect.gen(function* () {
            yield* store.createSeries(SESSION, everyMinute)
            yield* at(store, MINUTE)
            yield* store.changeSeries(T1, { _tag: "Update", change: { recurrence: "every 7m" } })
            assert.deepStrictEqual(
              (yield* occurrences(store)).map(({ state }) => state),
              ["cancelled"],
            )
            const next = (yield* task(store)).nextSlot ?? 0
            assert.isAbove(next, MINUTE)
            yield* at(store, next)
            const end = yield* claim(store, first(yield* open(store)))
            yield* store.changeSeries(T1, { _tag: "Update", change: { prompt: "tock" } })
            yield* store.changeSeries(T1, { _tag: "Cancel" })
            assert.strictEqual(first(yield* open(store)).state, "claimed")
            yield* end("completed")
            const states = (yield* occurrences(store)).map(({ content, state }) => [
              state,
              JSON.parse(content).prompt,
            ])
            assert.deepStrictEqual(states, [
              ["cancelled", "tick"],
              ["completed", "tick"],
            ])
          }),
      )

      story("a zone stays at an update of the schedule, and an update of the zone moves the grid", (store) =>
        Effect.gen(function* () {
          const zone = "America/New_York"
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            schedule: { _tag: "Cron", expression: "0 9 * * *", zone },
          })
          const moved = yield* store.changeSeries(T1, {
            _tag: "Update",
            change: { recurrence: "0 10 * * *" },
          })
          assert.deepInclude(moved, { zone, nextSlot: 15 * HOUR })
          const there = yield* store.changeSeries(T1, { _tag: "Update", change: { zone: "Asia/Kolkata" } })
          assert.deepInclude(there, { zone: "Asia/Kolkata", nextSlot: 4.5 * HOUR })
          assert.deepInclude(there.schedule, { expression: "0 10 * * *", zone: "Asia/Kolkata" })
          const refused = yield* Effect.flip(
            store.changeSeries(T1, { _tag: "Update", change: { zone: "Mars/Base" } }),
          )
          assert.strictEqual(refused._tag, "Invalid")
        }),
      )

      story("an instant moves the next run of a recurring task, and its grid goes on from there", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          const change = { processAfter: "1970-01-01T00:03:30Z" }
          const moved = yield* store.changeSeries(T1, { _tag: "Update", change })
          assert.deepInclude(moved, { nextSlot: 3.5 * MINUTE, schedule: everyMinute.schedule })
          for (let half = 1; half <= 10; half++) yield* at(store, (half * MINUTE) / 2)
          assert.deepStrictEqual(slotsOf(yield* occurrences(store)), [3.5, 4, 5])
          const once = yield* store.changeSeries(T1, {
            _tag: "Update",
            change: { processAfter: "1970-01-01T00:09:00Z", recurrence: null },
          })
          assert.deepInclude(once.schedule, { _tag: "Once", at: 9 * MINUTE })
        }),
      )

      story("what is not said in an update stays, policies included", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            overlap: "buffer-one",
            policy: { bufferLimit: 7 },
          })
          const updated = yield* store.changeSeries(T1, {
            _tag: "Update",
            change: { policy: { pauseAfterFailures: 2 }, revision: 1 },
          })
          assert.deepInclude(updated, { overlap: "buffer-one", revision: 2, nextSlot: MINUTE })
          assert.deepInclude(updated.policy, { bufferLimit: 7, pauseAfterFailures: 2 })
        }),
      )

      story("the slots of a pause are recorded, or caught up on request", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all", catchUp: "all" })
          yield* store.changeSeries(T1, { _tag: "Pause", note: "for repairs" })
          yield* at(store, 3 * MINUTE)
          yield* store.changeSeries(T1, { _tag: "Resume" })
          yield* at(store, 3 * MINUTE + 1)
          assert.deepStrictEqual(yield* open(store), [])
          assert.deepStrictEqual(yield* notRun(store), [["paused", 1, 3, 3]])
          yield* store.changeSeries(T1, { _tag: "Pause", note: null })
          yield* at(store, 6 * MINUTE)
          yield* store.changeSeries(T1, { _tag: "Resume", pausedSlots: "catch-up" })
          yield* at(store, 6 * MINUTE)
          assert.deepStrictEqual(slotsOf(yield* open(store)), [4, 5, 6])
        }),
      )

      story("a backfill runs each slot of its range once under its name, and never the schedule's", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, overlap: "allow-all" })
          yield* at(store, 3 * MINUTE)
          const range = { from: MINUTE, to: 3 * MINUTE }
          assert.strictEqual((yield* store.backfillSeries(T1, { name: "b1", ...range })).length, 3)
          assert.strictEqual((yield* store.backfillSeries(T1, { name: "b1", ...range })).length, 0)
          assert.strictEqual((yield* store.backfillSeries(T1, { name: "b2", ...range })).length, 3)
          const origins = (yield* occurrences(store)).map(({ slotOrigin }) => slotOrigin)
          assert.deepStrictEqual(origins, [
            "schedule",
            ...Array(3).fill("backfill:b1"),
            ...Array(3).fill("backfill:b2"),
          ])
          assert.strictEqual((yield* task(store)).fired, 1)
          const far = yield* Effect.flip(
            store.backfillSeries(T1, { name: "b3", from: 0, to: 100 * 24 * HOUR }),
          )
          assert.strictEqual(far._tag, "Invalid")
        }),
      )

      story("an update of the schedule leaves what an operator asked for, a pause does not", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          yield* at(store, MINUTE)
          yield* store.runSeriesNow(T1, MessageId.make("now-1"))
          yield* store.changeSeries(T1, { _tag: "Update", change: { recurrence: "every 7m" } })
          assert.deepStrictEqual(
            (yield* open(store)).map(({ id }) => String(id)),
            ["now-1"],
          )
          yield* store.changeSeries(T1, { _tag: "Pause", note: null })
          assert.deepStrictEqual(yield* open(store), [])
        }),
      )

      story("an update deals with the slots that passed before it, on the old grid", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          yield* TestClock.setTime(5 * MINUTE)
          yield* store.changeSeries(T1, { _tag: "Update", change: { recurrence: "every 7m" } })
          assert.deepStrictEqual(yield* notRun(store), [["missed", 1, 4, 4]])
          assert.deepStrictEqual(
            (yield* occurrences(store)).map(({ slot, state }) => [slot, state]),
            [[5 * MINUTE, "cancelled"]],
          )
          yield* store.changeSeries(T1, { _tag: "Pause", note: null })
          yield* TestClock.setTime(30 * MINUTE)
          yield* store.changeSeries(T1, { _tag: "Update", change: { recurrence: "every 1h" } })
          yield* store.changeSeries(T1, { _tag: "Resume" })
          // 12, 19 and 26: a pause's slots are recorded, whatever becomes of the schedule meanwhile.
          assert.deepStrictEqual((yield* notRun(store)).at(-1), ["paused", 12, 26, 3])
        }),
      )

      story("runs that have not ended are bounded, whoever asks for more", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, {
            ...everyMinute,
            overlap: "allow-all",
            catchUp: "all",
            policy: { catchUpCap: 1_000 },
          })
          yield* at(store, 600 * MINUTE)
          yield* at(store, 1_200 * MINUTE)
          const count = store.read((reader) => reader.openOccurrences(T1, 5_000).length)
          assert.strictEqual(yield* count, 1_000)
          assert.deepStrictEqual(yield* notRun(store), [["overlap", 1_001, 1_200, 200]])
          for (const refused of [
            yield* Effect.flip(store.runSeriesNow(T1, MessageId.make("now-1"))),
            yield* Effect.flip(store.backfillSeries(T1, { name: "b", from: MINUTE, to: MINUTE })),
          ]) {
            assert.strictEqual(refused._tag, "Full")
          }
          assert.strictEqual(yield* count, 1_000)
        }),
      )

      story("a cancelled task runs no more, a completed one can be run again", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, { ...everyMinute, bounds: { maxRuns: 1 } })
          yield* at(store, MINUTE)
          assert.strictEqual((yield* task(store)).status, "completed")
          yield* store.runSeriesNow(T1, MessageId.make("now-1"))
          yield* store.changeSeries(T1, { _tag: "Cancel" })
          const range = { name: "b1", from: 0, to: MINUTE }
          for (const refused of [
            yield* Effect.flip(store.runSeriesNow(T1, MessageId.make("now-2"))),
            yield* Effect.flip(store.backfillSeries(T1, range)),
            yield* Effect.flip(store.changeSeries(T1, { _tag: "Resume" })),
          ]) {
            assert.strictEqual(refused._tag, "Conflict")
          }
          assert.deepStrictEqual(yield* open(store), [])
        }),
      )

      story("run now is beside the schedule and moves nothing", (store) =>
        Effect.gen(function* () {
          yield* store.createSeries(SESSION, everyMinute)
          const run = yield* store.runSeriesNow(T1, MessageId.make("now-1"))
          assert.deepStrictEqual([run.slot, run.dueAt], [null, yield* Clock.currentTimeMillis])
          assert.strictEqual((yield* task(store)).nextSlot, MINUTE)
        }),
      )
    })
  })
}
