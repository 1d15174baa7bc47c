/** What every `LedgerDriver` must do. Run it on each implementation: `ledgerDriverContract("in memory", MemoryLedger.layer)`. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, type Layer, Result } from "effect"
import {
  LedgerDriver,
  type LedgerError,
  type LedgerReader,
  type LedgerTx,
} from "../../src/services/LedgerDriver.ts"
import { DeliveryId } from "../../src/domain/Ids.ts"
import {
  aDelivery,
  aGroup,
  aMessage,
  anAttempt,
  anEvent,
  anIncarnation,
  aRun,
  aSeries,
  aSession,
  gid,
  mid,
  sid,
  T0,
  tid,
} from "../support/Rows.ts"

/** Runs writes in one transaction that succeeds. */
export const write = (f: (tx: LedgerTx) => void) =>
  Effect.flatMap(LedgerDriver, (driver) =>
    driver.transaction((tx) => {
      f(tx)
      return Result.succeed(undefined)
    }),
  )

export const ask = <A>(f: (reader: LedgerReader) => A) =>
  Effect.flatMap(LedgerDriver, (driver) => driver.read(f))

const idsOf = (rows: ReadonlyArray<{ readonly id: string }>): ReadonlyArray<string> =>
  rows.map((row) => row.id)
const did = (id: string): DeliveryId => DeliveryId.make(id)
const s1 = sid("s1")

/** One put of each kind, with rows that nobody has put before. */
export const EVERY_WRITE: ReadonlyArray<readonly [name: string, write: (tx: LedgerTx) => void]> = [
  ["putMeta", (tx) => tx.putMeta("new", "value")],
  ["putGroup", (tx) => tx.putGroup(aGroup({ id: "new" }))],
  ["deleteGroup", (tx) => tx.deleteGroup(gid("g1"))],
  ["putSession", (tx) => tx.putSession(aSession({ id: "new", wakeAt: T0 - 9 }))],
  ["putSessionState", (tx) => tx.putSessionState(sid("new"), [{ key: "k", value: "v" }])],
  ["putMessage", (tx) => tx.putMessage(aMessage({ id: "new", dueAt: T0 - 9, expiresAt: T0 - 9 }))],
  ["putAttempt", (tx) => tx.putAttempt(anAttempt({ messageId: "new" }))],
  ["putIncarnation", (tx) => tx.putIncarnation(anIncarnation({ sessionId: "new" }))],
  ["putDelivery", (tx) => tx.putDelivery(aDelivery({ outboundId: "new", nextAttemptAt: T0 - 9 }))],
  ["putSeries", (tx) => tx.putSeries(aSeries({ id: "new", nextSlot: T0 - 9 }))],
  ["putRun", (tx) => tx.putRun(aRun())],
  ["appendEvent", (tx) => tx.appendEvent(anEvent({ text: "new" }))],
  ["deleteHistory", (tx) => tx.deleteHistory(T0 + 1_000, 100)],
  ["trimEvents", (tx) => tx.trimEvents(0)],
  ["replacing a session", (tx) => tx.putSession(aSession({ wakeAt: T0 - 9, live: true, status: "held" }))],
  ["replacing a message", (tx) => tx.putMessage(aMessage({ state: "failed", endedAt: T0, priority: 2 }))],
  [
    "replacing an attempt",
    (tx) => tx.putAttempt(anAttempt({ endedAt: T0, outcome: "crashed", costsTry: true })),
  ],
  ["replacing a delivery", (tx) => tx.putDelivery(aDelivery({ status: "dead", endedAt: T0 }))],
  ["replacing a run", (tx) => tx.putRun(aRun({ position: 1, count: 7 }))],
]

/** A bit of everything: open and ended rows, so that each write and each deletion has something to change. */
export const seed = (tx: LedgerTx): void => {
  tx.putMeta("seed", "1")
  tx.putGroup(aGroup())
  tx.putSession(aSession({ wakeAt: T0 }))
  tx.putSessionState(s1, [{ key: "a", value: "1" }])
  tx.putMessage(aMessage({ admittedIn: 2, expiresAt: T0 + 5 }))
  tx.putMessage(aMessage({ id: "old", state: "completed", endedAt: T0, seq: 4 }))
  tx.putAttempt(anAttempt())
  tx.putAttempt(anAttempt({ messageId: "old", endedAt: T0, outcome: "completed", costsTry: false }))
  tx.putIncarnation(anIncarnation({ phase: "ended", endedAt: T0, reason: "idle" }))
  tx.putIncarnation(anIncarnation({ number: 2, phase: "ended", endedAt: T0, reason: "idle" }))
  tx.putDelivery(aDelivery())
  tx.putDelivery(aDelivery({ outboundId: "old", seq: 3, status: "delivered", endedAt: T0, revision: 2 }))
  tx.putSeries(aSeries())
  tx.putRun(aRun({ seriesId: "t1" }))
  tx.appendEvent(anEvent())
  tx.appendEvent(anEvent({ sessionId: null, text: "second" }))
}

/** Every answer about the sessions `s1` and `new`, to compare two moments or two drivers. */
export const everyAnswer = (reader: LedgerReader): Record<string, unknown> => {
  const page = { limit: 100 }
  const messages = reader.messages({}, page)
  const about = (id: string) => ({
    state: reader.sessionState(sid(id)),
    messages: reader.messages({ sessionId: sid(id) }, page),
    ended: reader.messages({ sessionId: sid(id), states: ["completed", "failed", "cancelled"] }, page),
    duePending: reader.duePending(sid(id), T0, 100),
    earliestDue: reader.earliestDue(sid(id), { shownTo: 2, onWake: "count" }),
    earliestDueLive: reader.earliestDue(sid(id), { shownTo: 1, onWake: "ignore" }),
    contextPending: reader.contextPending(sid(id), 100),
    admittedOpen: reader.admittedOpen(sid(id), 2, 100),
    changed: reader.messagesChangedSince(sid(id), 2, 0, 100),
    openAttempts: reader.openAttempts(sid(id)),
    incarnations: reader.incarnations(sid(id), page),
    deliveries: reader.deliveries({ sessionId: sid(id) }, page),
    deliveriesChanged: reader.deliveriesChangedSince(sid(id), 0, 100),
    lastOutbound: reader.lastOutbound(sid(id), 2),
    series: reader.seriesList({ sessionId: sid(id) }, page),
    runs: reader.runs({ sessionId: sid(id) }, page),
    events: reader.events({ sessionId: sid(id) }, page),
    lastEvents: reader.lastEvents({ sessionId: sid(id) }, { limit: 2 }),
  })
  return {
    meta: [reader.meta("seed"), reader.meta("new")],
    groups: reader.groups(),
    sessions: reader.sessions({}, page),
    heldSessions: reader.sessions({ status: "held" }, page),
    activeSessions: reader.sessions({ groupId: gid("g1"), status: "active" }, page),
    sessionsWithWork: [reader.sessionsWithWork(gid("g1"), 100), reader.sessionsWithWork(gid("g1"), 1)],
    toWake: [0, 1, 2].flatMap((priority) =>
      (["live", "idle"] as const).map((live) => reader.sessionsToWake(live, priority as 0 | 1 | 2, T0, 100)),
    ),
    nextWake: [reader.nextWakeAfter(0), reader.nextWakeAfter(T0)],
    messages,
    pendingMessages: reader.messages({ states: ["pending", "claimed"] }, page),
    attempts: messages.map((message) => [reader.openAttempt(message.id), reader.attempts(message.id, 100)]),
    expired: reader.expired(T0 + 1_000, 100),
    nextExpiry: reader.nextExpiry(),
    live: reader.liveIncarnations(),
    deliveries: reader.deliveries({}, page),
    deadDeliveries: reader.deliveries({ statuses: ["dead", "delivered"] }, page),
    dueDeliveries: reader.dueDeliveries(T0, 100),
    nextDelivery: [reader.nextDeliveryAfter(0), reader.nextDeliveryAfter(T0)],
    lane: reader.laneOf(aDelivery().lane, 100),
    pendingInChannel: reader.countPendingDeliveries("hook", 100),
    series: [reader.seriesList({}, page), reader.seriesList({ status: "active" }, page)],
    dueSeries: reader.dueSeries(T0, 100),
    nextSlot: reader.nextSlot(),
    openOccurrences: reader.openOccurrences(tid("t1"), 100),
    runs: [reader.runs({}, page), reader.runs({ outcomes: ["completed", "missed"] }, page)],
    lastRun: reader.lastRun(tid("t1")),
    events: reader.events({}, page),
    lastEvents: reader.lastEvents({}, { limit: 3 }),
    about: [about("s1"), about("s2"), about("new")],
  }
}

export const ledgerDriverContract = (name: string, layer: Layer.Layer<LedgerDriver, LedgerError>): void => {
  const test = (title: string, effect: () => Effect.Effect<void, LedgerError, LedgerDriver>): void => {
    it.effect(title, () => effect().pipe(Effect.provide(layer)))
  }

  describe(`a ledger ${name}`, () => {
    describe("keeps rows", () => {
      test("and gives them back as they were put, with every field set and with every field null", () =>
        Effect.gen(function* () {
          const group = aGroup({
            id: "full",
            provider: { name: "command", command: ["sh", "-c", "cat"], timeoutMs: 5, model: "m" },
            zone: "Europe/Paris",
            policy: { retryLimit: 0, retryCapMs: null },
            destinations: [
              {
                name: "d",
                displayName: null,
                type: "agent",
                channelType: null,
                platformId: null,
                agentGroupId: "g1",
              },
            ],
            admins: ["alice", "b'o\"b\n"],
            imageTag: "i:1",
            runnerReoffers: false,
          })
          const session = aSession({
            id: "full",
            threadId: "th",
            status: "held",
            statusReason: "why",
            live: true,
            wakeAt: 0,
            wakeError: "e",
            expiresAt: 8_640_000_000_000_000,
          })
          const message = aMessage({
            id: "full",
            trigger: false,
            onWake: true,
            suspect: true,
            expiresAt: T0,
            threadId: "th",
            sourceSessionId: "s2",
            seriesId: "t1",
            slot: T0,
            slotOrigin: "schedule",
            wokenAt: T0,
            claimedAt: T0,
            endedAt: T0,
            error: "e",
            result: "ünïcödé \u0000 \u{1F980}",
            redriveOf: "m0",
          })
          const attempt = anAttempt({ endedAt: T0, outcome: "stuck", costsTry: true, error: "e" })
          const incarnation = anIncarnation({
            number: 2,
            phase: "ended",
            handle: "{}",
            claimed: true,
            stopReason: "idle",
            stopRequestedAt: T0,
            endedAt: T0,
            reason: "idle",
            exitCode: -1,
            signal: "SIGTERM",
            oomKilled: true,
            durationMs: 1,
            logFile: "f",
            error: "e",
          })
          const delivery = aDelivery({
            outboundId: null,
            seq: null,
            inReplyTo: "m1",
            threadId: "th",
            status: "dead",
            nextAttemptAt: null,
            deliverAfter: T0,
            lastError: "e",
            platformMessageId: "p",
            endedAt: T0,
          })
          const series = aSeries({
            id: "full",
            name: "n",
            script: "s",
            schedule: { _tag: "Interval", everyMs: 60_000, anchor: 1 },
            ttlMs: 1,
            note: "n",
            lastSlot: T0,
            nextSlot: null,
            channelType: "c",
            platformId: "p",
            threadId: "t",
          })
          const run = aRun({
            seriesId: "t1",
            slot: T0,
            error: "e",
            result: "r",
            logFile: "f",
            messageId: null,
          })
          const bare = aMessage({ id: "bare", channelType: null, platformId: null })
          yield* write((tx) => {
            tx.putGroup(group)
            tx.putGroup(aGroup())
            tx.putSession(session)
            tx.putSession(aSession())
            tx.putMessage(message)
            tx.putMessage(bare)
            tx.putAttempt(attempt)
            tx.putAttempt(anAttempt({ number: 2 }))
            tx.putIncarnation(incarnation)
            tx.putIncarnation(anIncarnation())
            assert.strictEqual(tx.putDelivery(delivery), 1)
            assert.strictEqual(tx.putDelivery(aDelivery()), 2)
            tx.putSeries(series)
            tx.putSeries(aSeries())
            assert.strictEqual(tx.putRun(run), 1)
            assert.strictEqual(tx.putRun(aRun()), 2)
            tx.appendEvent(anEvent({ sessionId: null, messageId: null }))
            tx.putMeta("k", "v")
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(reader.group(group.id), group)
            assert.deepStrictEqual(reader.groups(), [group, aGroup()])
            assert.deepStrictEqual(reader.session(session.id), session)
            assert.deepStrictEqual(reader.session(s1), aSession())
            assert.deepStrictEqual(reader.message(message.id), message)
            assert.deepStrictEqual(reader.message(bare.id), bare)
            assert.deepStrictEqual(reader.attempts(mid("m1"), 10), [anAttempt({ number: 2 }), attempt])
            assert.deepStrictEqual(reader.incarnation(s1, 2), incarnation)
            assert.deepStrictEqual(reader.incarnation(s1, 1), anIncarnation())
            assert.deepStrictEqual(reader.delivery(delivery.id), { ...delivery, position: 1 })
            assert.deepStrictEqual(reader.delivery(aDelivery().id), aDelivery({ position: 2 }))
            assert.deepStrictEqual(reader.series(series.id), series)
            assert.deepStrictEqual(reader.series(tid("t1")), aSeries())
            assert.deepStrictEqual(reader.runs({}, { limit: 5 }), [
              aRun({ position: 2 }),
              { ...run, position: 1 },
            ])
            assert.deepStrictEqual(reader.events({}, { limit: 5 }), [
              { position: 1, ...anEvent({ sessionId: null, messageId: null }) },
            ])
            assert.strictEqual(reader.meta("k"), "v")
          })
        }))

      test("and knows nothing of rows that nobody put", () =>
        ask((reader) => {
          assert.isUndefined(reader.meta("k"))
          assert.isUndefined(reader.group(gid("g1")))
          assert.isUndefined(reader.session(s1))
          assert.isUndefined(reader.sessionByKey(gid("g1"), "k"))
          assert.deepStrictEqual(reader.sessionState(s1), [])
          assert.isUndefined(reader.message(mid("m1")))
          assert.isUndefined(reader.earliestDue(s1, { shownTo: -1, onWake: "count" }))
          assert.isUndefined(reader.occurrence(tid("t1"), T0, "schedule"))
          assert.isUndefined(reader.openAttempt(mid("m1")))
          assert.isUndefined(reader.incarnation(s1, 1))
          assert.isUndefined(reader.delivery(did("s1/x")))
          assert.isUndefined(reader.series(tid("t1")))
          assert.isUndefined(reader.lastRun(tid("t1")))
          assert.isNull(reader.nextWakeAfter(0))
          assert.isNull(reader.nextExpiry())
          assert.isNull(reader.nextDeliveryAfter(0))
          assert.isNull(reader.nextSlot())
          assert.strictEqual(reader.countPendingDeliveries("hook", 5), 0)
        }))

      test("and replaces the row with the same key, wherever its indexed fields move", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putMeta("k", "1")
            tx.putMeta("k", "2")
            tx.putSession(aSession({ wakeAt: T0 }))
            tx.putSession(aSession({ wakeAt: null, key: "other", groupId: "g2", status: "held", live: true }))
            tx.putSession(
              aSession({ wakeAt: null, key: "other", groupId: "g2", status: "held", live: true, queued: 3 }),
            )
            tx.putSessionState(s1, [
              { key: "z", value: "1" },
              { key: "a", value: "2" },
            ])
            tx.putSessionState(s1, [
              { key: "y", value: "3" },
              { key: "b", value: "4" },
            ])
          })
          yield* ask((reader) => {
            assert.strictEqual(reader.meta("k"), "2")
            assert.deepStrictEqual(reader.sessionsToWake("idle", 1, T0, 10), [])
            assert.isNull(reader.nextWakeAfter(0))
            assert.isUndefined(reader.sessionByKey(gid("g1"), "key:s1"))
            assert.strictEqual(reader.sessionByKey(gid("g2"), "other")?.queued, 3)
            assert.deepStrictEqual(reader.sessions({ groupId: gid("g1") }, { limit: 9 }), [])
            assert.deepStrictEqual(reader.sessionState(s1), [
              { key: "y", value: "3" },
              { key: "b", value: "4" },
            ])
          })
        }))
    })

    describe("about sessions", () => {
      test("lists them by id, page by page, by group and by status", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putSession(aSession({ id: "c", status: "held" }))
            tx.putSession(aSession({ id: "a" }))
            tx.putSession(aSession({ id: "B", groupId: "g2" }))
            tx.putSession(aSession({ id: "d", groupId: "g2", status: "held" }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.sessions({}, { limit: 9 })), ["B", "a", "c", "d"])
            assert.deepStrictEqual(idsOf(reader.sessions({}, { limit: 2, after: "B" })), ["a", "c"])
            assert.deepStrictEqual(idsOf(reader.sessions({ groupId: gid("g2") }, { limit: 9 })), ["B", "d"])
            assert.deepStrictEqual(idsOf(reader.sessions({ status: "held" }, { limit: 9 })), ["c", "d"])
            assert.deepStrictEqual(idsOf(reader.sessions({ status: "active" }, { limit: 9, after: "B" })), [
              "a",
            ])
            assert.deepStrictEqual(
              idsOf(reader.sessions({ groupId: gid("g2"), status: "held" }, { limit: 9 })),
              ["d"],
            )
          })
        }))

      test("wakes those whose time has come, the earliest first, each priority and each kind by itself", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putSession(aSession({ id: "now", wakeAt: T0 }))
            tx.putSession(aSession({ id: "later", wakeAt: T0 + 1 }))
            tx.putSession(aSession({ id: "tie", wakeAt: T0 - 5 }))
            tx.putSession(aSession({ id: "early", wakeAt: T0 - 5 }))
            tx.putSession(aSession({ id: "high", wakeAt: T0 - 9, wakePriority: 2 }))
            tx.putSession(aSession({ id: "live", wakeAt: T0 - 9, live: true }))
            tx.putSession(aSession({ id: "never" }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.sessionsToWake("idle", 1, T0, 9)), ["early", "tie", "now"])
            assert.deepStrictEqual(idsOf(reader.sessionsToWake("idle", 1, T0, 2)), ["early", "tie"])
            assert.deepStrictEqual(idsOf(reader.sessionsToWake("idle", 2, T0, 9)), ["high"])
            assert.deepStrictEqual(idsOf(reader.sessionsToWake("idle", 0, T0, 9)), [])
            assert.deepStrictEqual(idsOf(reader.sessionsToWake("live", 1, T0, 9)), ["live"])
            assert.strictEqual(reader.nextWakeAfter(0), T0 - 9)
            assert.strictEqual(reader.nextWakeAfter(T0 - 1), T0)
            assert.strictEqual(reader.nextWakeAfter(T0), T0 + 1)
            assert.isNull(reader.nextWakeAfter(T0 + 1))
          })
        }))
    })

    describe("about messages", () => {
      test("lists them newest first, and a replaced one keeps its place", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            for (const id of ["z", "b", "y", "a"]) tx.putMessage(aMessage({ id }))
            tx.putMessage(aMessage({ id: "other", sessionId: "s2", seriesId: "t1" }))
            tx.putMessage(aMessage({ id: "b", state: "failed", endedAt: T0, seriesId: "t1" }))
            tx.putMessage(aMessage({ id: "y", state: "claimed" }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.messages({}, { limit: 9 })), ["other", "a", "y", "b", "z"])
            assert.deepStrictEqual(idsOf(reader.messages({}, { limit: 2, after: "a" })), ["y", "b"])
            assert.deepStrictEqual(idsOf(reader.messages({ sessionId: s1 }, { limit: 2 })), ["a", "y"])
            assert.deepStrictEqual(idsOf(reader.messages({ sessionId: s1 }, { limit: 9, after: "b" })), ["z"])
            assert.deepStrictEqual(idsOf(reader.messages({ states: ["pending"] }, { limit: 9 })), [
              "other",
              "a",
              "z",
            ])
            assert.deepStrictEqual(
              idsOf(
                reader.messages({ sessionId: s1, states: ["failed", "claimed", "failed"] }, { limit: 9 }),
              ),
              ["y", "b"],
            )
            assert.deepStrictEqual(idsOf(reader.messages({ seriesId: tid("t1") }, { limit: 9 })), [
              "other",
              "b",
            ])
            assert.deepStrictEqual(
              idsOf(reader.messages({ seriesId: tid("t1"), sessionId: s1 }, { limit: 9 })),
              ["b"],
            )
            assert.deepStrictEqual(reader.messages({ states: [] }, { limit: 9 }), [])
            assert.deepStrictEqual(reader.messages({}, { limit: 9, after: "gone" }), [])
          })
        }))

      test("finds what is due: by priority, then due time, then seq, and only what can wake", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putMessage(aMessage({ id: "at-now", seq: 8 }))
            tx.putMessage(aMessage({ id: "after-now", dueAt: T0 + 1 }))
            tx.putMessage(aMessage({ id: "earlier", dueAt: T0 - 5, seq: 6 }))
            tx.putMessage(aMessage({ id: "earlier-first", dueAt: T0 - 5, seq: 4 }))
            tx.putMessage(aMessage({ id: "low", dueAt: T0 - 9, priority: 0 }))
            tx.putMessage(aMessage({ id: "high", priority: 2 }))
            tx.putMessage(aMessage({ id: "high-later", priority: 2, dueAt: T0 + 1 }))
            tx.putMessage(aMessage({ id: "context", trigger: false, dueAt: 0 }))
            tx.putMessage(aMessage({ id: "system", kind: "system", dueAt: 0 }))
            tx.putMessage(aMessage({ id: "claimed", state: "claimed", dueAt: 0 }))
            tx.putMessage(aMessage({ id: "done", state: "completed", dueAt: 0, endedAt: T0 }))
            tx.putMessage(aMessage({ id: "elsewhere", sessionId: "s2", dueAt: 0 }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.duePending(s1, T0, 9)), [
              "high",
              "earlier-first",
              "earlier",
              "at-now",
              "low",
            ])
            assert.deepStrictEqual(idsOf(reader.duePending(s1, T0, 2)), ["high", "earlier-first"])
            assert.deepStrictEqual(idsOf(reader.duePending(s1, T0, 0)), [])
            assert.deepStrictEqual(idsOf(reader.contextPending(s1, 9)), ["context", "system"])
            assert.deepStrictEqual(idsOf(reader.contextPending(s1, 1)), ["context"])
          })
        }))

      test("names the earliest that is due and not shown, with its priority", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putMessage(aMessage({ id: "shown", admittedIn: 3, dueAt: T0 - 9 }))
            tx.putMessage(aMessage({ id: "wake-only", onWake: true, dueAt: T0 - 7, priority: 0 }))
            tx.putMessage(aMessage({ id: "plain", dueAt: T0 - 5 }))
            tx.putMessage(aMessage({ id: "tie", dueAt: T0 - 5, priority: 2 }))
            tx.putMessage(aMessage({ id: "late-high", dueAt: T0, priority: 2 }))
            tx.putMessage(aMessage({ id: "context", trigger: false, dueAt: 0 }))
            tx.putMessage(aMessage({ id: "claimed", state: "claimed", dueAt: 0 }))
          })
          yield* ask((reader) => {
            const earliest = (shownTo: number, onWake: "count" | "ignore") =>
              reader.earliestDue(s1, { shownTo, onWake })
            assert.deepStrictEqual(earliest(3, "ignore"), { dueAt: T0 - 5, priority: 2 })
            assert.deepStrictEqual(earliest(3, "count"), { dueAt: T0 - 7, priority: 0 })
            assert.deepStrictEqual(earliest(4, "ignore"), { dueAt: T0 - 9, priority: 1 })
            assert.deepStrictEqual(earliest(-1, "count"), { dueAt: T0 - 9, priority: 1 })
          })
        }))

      test("knows what an incarnation was shown: open by seq, changed by revision", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putMessage(aMessage({ id: "second", admittedIn: 3, seq: 4, revision: 7 }))
            tx.putMessage(aMessage({ id: "first", admittedIn: 3, seq: 2, revision: 9, state: "claimed" }))
            tx.putMessage(aMessage({ id: "ended", admittedIn: 3, seq: 6, revision: 7, state: "completed" }))
            tx.putMessage(aMessage({ id: "context", admittedIn: 3, seq: 8, revision: 5, trigger: false }))
            tx.putMessage(aMessage({ id: "unseen", seq: 10, revision: 9 }))
            tx.putMessage(aMessage({ id: "earlier", admittedIn: 2, seq: 12, revision: 9 }))
            tx.putMessage(aMessage({ id: "elsewhere", admittedIn: 3, sessionId: "s2", revision: 9 }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.admittedOpen(s1, 3, 9)), ["first", "second", "context"])
            assert.deepStrictEqual(idsOf(reader.admittedOpen(s1, 3, 1)), ["first"])
            assert.deepStrictEqual(idsOf(reader.admittedOpen(s1, 0, 9)), [])
            assert.deepStrictEqual(idsOf(reader.messagesChangedSince(s1, 3, 5, 9)), [
              "second",
              "ended",
              "first",
            ])
            assert.deepStrictEqual(idsOf(reader.messagesChangedSince(s1, 3, 4, 2)), ["context", "second"])
            assert.deepStrictEqual(idsOf(reader.messagesChangedSince(s1, 3, 9, 9)), [])
          })
        }))

      test("expires what is past its time, not what is at it, and nothing that was claimed", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putMessage(aMessage({ id: "at", expiresAt: T0 }))
            tx.putMessage(aMessage({ id: "past", expiresAt: T0 - 1 }))
            tx.putMessage(aMessage({ id: "long-past", expiresAt: T0 - 9, sessionId: "s2" }))
            tx.putMessage(aMessage({ id: "claimed", expiresAt: T0 - 20, state: "claimed" }))
            tx.putMessage(aMessage({ id: "never" }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.expired(T0, 9)), ["long-past", "past"])
            assert.deepStrictEqual(idsOf(reader.expired(T0, 1)), ["long-past"])
            assert.strictEqual(reader.nextExpiry(), T0 - 9)
          })
        }))

      test("finds an occurrence by slot and origin, and a series' open ones by slot", () =>
        Effect.gen(function* () {
          const slot = (id: string, at: number, fields: object = {}) =>
            aMessage({ id, seriesId: "t1", slot: at, slotOrigin: "schedule", ...fields })
          yield* write((tx) => {
            tx.putMessage(slot("b", T0 + 2))
            tx.putMessage(slot("a", T0 + 1, { state: "claimed" }))
            tx.putMessage(slot("done", T0, { state: "completed" }))
            tx.putMessage(slot("fill", T0, { slotOrigin: "fill-1" }))
            tx.putMessage(slot("other", T0, { seriesId: "t2" }))
            tx.putMessage(aMessage({ id: "run-now", seriesId: "t1" }))
          })
          yield* ask((reader) => {
            assert.strictEqual(reader.occurrence(tid("t1"), T0, "schedule")?.id, "done")
            assert.strictEqual(reader.occurrence(tid("t1"), T0, "fill-1")?.id, "fill")
            assert.strictEqual(reader.occurrence(tid("t2"), T0, "schedule")?.id, "other")
            assert.isUndefined(reader.occurrence(tid("t1"), T0 + 3, "schedule"))
            assert.deepStrictEqual(idsOf(reader.openOccurrences(tid("t1"), 9)), ["run-now", "fill", "a", "b"])
            assert.deepStrictEqual(idsOf(reader.openOccurrences(tid("t1"), 1)), ["run-now"])
          })
        }))
    })

    test("about attempts: the open one, a session's open ones, and a message's newest first", () =>
      Effect.gen(function* () {
        yield* write((tx) => {
          tx.putAttempt(anAttempt({ endedAt: T0, outcome: "crashed", costsTry: true }))
          tx.putAttempt(anAttempt({ number: 2, claimedAt: T0 + 9 }))
          tx.putAttempt(anAttempt({ messageId: "m2", claimedAt: T0 + 5 }))
          tx.putAttempt(anAttempt({ messageId: "m3", endedAt: T0 }))
          tx.putAttempt(anAttempt({ messageId: "m4", sessionId: "s2" }))
        })
        yield* ask((reader) => {
          assert.strictEqual(reader.openAttempt(mid("m1"))?.number, 2)
          assert.isUndefined(reader.openAttempt(mid("m3")))
          assert.deepStrictEqual(
            reader.openAttempts(s1).map((row) => row.messageId),
            ["m2", "m1"].map(mid),
          )
          assert.deepStrictEqual(
            reader.attempts(mid("m1"), 9).map((row) => row.number),
            [2, 1],
          )
          assert.deepStrictEqual(
            reader.attempts(mid("m1"), 1).map((row) => row.number),
            [2],
          )
        })
      }))

    test("about incarnations: those that live, their count, and a session's newest first", () =>
      Effect.gen(function* () {
        yield* write((tx) => {
          tx.putIncarnation(anIncarnation({ phase: "ended", endedAt: T0 }))
          tx.putIncarnation(anIncarnation({ number: 2, phase: "ended", endedAt: T0 }))
          tx.putIncarnation(anIncarnation({ number: 10, phase: "stopping" }))
          tx.putIncarnation(anIncarnation({ sessionId: "s2", groupId: "g2", phase: "starting" }))
          tx.putIncarnation(anIncarnation({ sessionId: "a" }))
        })
        yield* ask((reader) => {
          assert.deepStrictEqual(
            reader.liveIncarnations().map((row) => [row.sessionId, row.number]),
            [
              [sid("a"), 1],
              [s1, 10],
              [sid("s2"), 1],
            ],
          )
          const numbers = (page: { limit: number; after?: number }) =>
            reader.incarnations(s1, page).map((row) => row.number)
          assert.deepStrictEqual(numbers({ limit: 9 }), [10, 2, 1])
          assert.deepStrictEqual(numbers({ limit: 1, after: 10 }), [2])
        })
      }))

    describe("about deliveries", () => {
      test("gives each a position once, and keeps it when the row is replaced", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            assert.strictEqual(tx.putDelivery(aDelivery({ outboundId: "z" })), 1)
            assert.strictEqual(tx.putDelivery(aDelivery({ outboundId: "a" })), 2)
            assert.strictEqual(tx.putDelivery(aDelivery({ outboundId: "z", status: "dead", position: 1 })), 1)
            assert.strictEqual(tx.putDelivery(aDelivery({ outboundId: "z", status: "dead", attempts: 1 })), 1)
            assert.strictEqual(tx.putDelivery(aDelivery({ outboundId: "a", sessionId: "s2" })), 3)
          })
          yield* ask((reader) => {
            const positions = (
              filter: Parameters<LedgerReader["deliveries"]>[0],
              page: { limit: number; after?: number },
            ) => reader.deliveries(filter, page).map((row) => row.position)
            assert.deepStrictEqual(positions({}, { limit: 9 }), [3, 2, 1])
            assert.deepStrictEqual(positions({}, { limit: 1, after: 3 }), [2])
            assert.deepStrictEqual(positions({ sessionId: s1 }, { limit: 9 }), [2, 1])
            assert.deepStrictEqual(positions({ statuses: ["dead"] }, { limit: 9 }), [1])
            assert.deepStrictEqual(positions({ sessionId: s1, statuses: ["pending"] }, { limit: 9 }), [2])
            assert.strictEqual(reader.delivery(did("s1/z"))?.attempts, 1)
          })
        }))

      test("finds those whose time has come, the next time, lanes, and how many wait for a channel", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putDelivery(aDelivery({ outboundId: "now", lane: "L" }))
            tx.putDelivery(aDelivery({ outboundId: "later", lane: "M", nextAttemptAt: T0 + 1 }))
            tx.putDelivery(aDelivery({ outboundId: "early", lane: "N", nextAttemptAt: T0 - 1 }))
            tx.putDelivery(aDelivery({ outboundId: "behind", lane: "L", nextAttemptAt: null }))
            tx.putDelivery(
              aDelivery({ outboundId: "sent", lane: "L", status: "delivered", nextAttemptAt: 1 }),
            )
            tx.putDelivery(
              aDelivery({ outboundId: "else", lane: "O", channelType: "file", nextAttemptAt: null }),
            )
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.dueDeliveries(T0, 9)), ["s1/early", "s1/now"])
            assert.deepStrictEqual(idsOf(reader.dueDeliveries(T0, 1)), ["s1/early"])
            const beside = (sessions: ReadonlyArray<string>, channels: ReadonlyArray<string>) =>
              idsOf(reader.dueDeliveries(T0, 9, { sessions: sessions.map(sid), channels }))
            assert.deepStrictEqual(beside(["s2"], ["file"]), ["s1/early", "s1/now"])
            assert.deepStrictEqual([beside(["s1"], []), beside([], ["hook"])], [[], []])
            assert.strictEqual(reader.nextDeliveryAfter(0), T0 - 1)
            assert.strictEqual(reader.nextDeliveryAfter(T0), T0 + 1)
            assert.isNull(reader.nextDeliveryAfter(T0 + 1))
            assert.deepStrictEqual(idsOf(reader.laneOf("L", 9)), ["s1/now", "s1/behind"])
            assert.deepStrictEqual(idsOf(reader.laneOf("L", 1)), ["s1/now"])
            assert.strictEqual(reader.countPendingDeliveries("hook", 9), 4)
            assert.strictEqual(reader.countPendingDeliveries("hook", 2), 2)
            assert.strictEqual(reader.countPendingDeliveries("file", 9), 1)
          })
        }))

      test("counts those that wait for a channel as they come, end, are redriven, change channel, or are taken back", () =>
        Effect.gen(function* () {
          const waiting = (counts: { readonly hook: number; readonly file: number }) =>
            ask((reader) => {
              assert.strictEqual(reader.countPendingDeliveries("hook", 9), counts.hook)
              assert.strictEqual(reader.countPendingDeliveries("file", 9), counts.file)
            })
          const first = aDelivery({ outboundId: "a" })
          yield* write((tx) => {
            tx.putDelivery(first)
            tx.putDelivery(aDelivery({ outboundId: "b" }))
            tx.putDelivery(aDelivery({ outboundId: "homeless", channelType: null }))
            tx.putDelivery(aDelivery({ outboundId: "dead", status: "dead" }))
          })
          yield* waiting({ hook: 2, file: 0 })
          yield* write((tx) => tx.putDelivery({ ...first, attempts: 1 }))
          yield* waiting({ hook: 2, file: 0 })
          yield* write((tx) =>
            tx.putDelivery(aDelivery({ outboundId: "a", status: "delivered", endedAt: T0 })),
          )
          yield* waiting({ hook: 1, file: 0 })
          yield* write((tx) => tx.putDelivery(aDelivery({ outboundId: "dead" })))
          yield* waiting({ hook: 2, file: 0 })
          yield* write((tx) => tx.putDelivery(aDelivery({ outboundId: "b", channelType: "file" })))
          yield* waiting({ hook: 1, file: 1 })
          const driver = yield* LedgerDriver
          const refused = yield* Effect.flip(
            driver.transaction((tx) => {
              tx.putDelivery(aDelivery({ outboundId: "never" }))
              tx.putDelivery(aDelivery({ outboundId: "b", channelType: "file", status: "dead" }))
              return Result.fail("no")
            }),
          )
          assert.strictEqual(refused, "no")
          yield* waiting({ hook: 1, file: 1 })
          yield* write((tx) => tx.deleteHistory(T0 + 1, 9))
          yield* waiting({ hook: 1, file: 1 })
        }))

      test("tells a container what became of its rows, and what the last ones were", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            tx.putDelivery(aDelivery({ outboundId: "c", seq: 5, status: "delivered", revision: 3 }))
            tx.putDelivery(aDelivery({ outboundId: "b", seq: 3, status: "dead", revision: 4 }))
            tx.putDelivery(aDelivery({ outboundId: "a", seq: 1, status: "applied", revision: 3 }))
            tx.putDelivery(aDelivery({ outboundId: "p", seq: 7, revision: 9 }))
            tx.putDelivery(aDelivery({ outboundId: null, seq: null, status: "delivered", revision: 9 }))
            tx.putDelivery(aDelivery({ outboundId: "n", seq: null, status: "dead", revision: 1 }))
            tx.putDelivery(aDelivery({ sessionId: "s2", seq: 99, status: "delivered", revision: 9 }))
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.deliveriesChangedSince(s1, 2, 3)), ["s1/c", "s1/a", "s1/b"])
            assert.deepStrictEqual(idsOf(reader.deliveriesChangedSince(s1, 3, 9)), ["s1/b", "s1/p"])
            assert.deepStrictEqual(idsOf(reader.deliveriesChangedSince(s1, 0, 2)), ["s1/n", "s1/c"])
            assert.deepStrictEqual(idsOf(reader.lastOutbound(s1, 2)), ["s1/c", "s1/p"])
            assert.deepStrictEqual(idsOf(reader.lastOutbound(s1, 9)), ["s1/a", "s1/b", "s1/c", "s1/p"])
          })
        }))
    })

    test("about series: by id, and the active ones whose slot has come", () =>
      Effect.gen(function* () {
        yield* write((tx) => {
          tx.putSeries(aSeries({ id: "b" }))
          tx.putSeries(aSeries({ id: "a", nextSlot: T0 + 1, sessionId: "s2" }))
          tx.putSeries(aSeries({ id: "c", nextSlot: T0 - 5, groupId: "g2" }))
          tx.putSeries(aSeries({ id: "paused", nextSlot: T0 - 9, status: "paused" }))
          tx.putSeries(aSeries({ id: "spent", nextSlot: null }))
        })
        yield* ask((reader) => {
          const list = (
            filter: Parameters<LedgerReader["seriesList"]>[0],
            page: { limit: number; after?: string },
          ) => idsOf(reader.seriesList(filter, page))
          assert.deepStrictEqual(list({}, { limit: 9 }), ["a", "b", "c", "paused", "spent"])
          assert.deepStrictEqual(list({}, { limit: 2, after: "a" }), ["b", "c"])
          assert.deepStrictEqual(list({ groupId: gid("g2") }, { limit: 9 }), ["c"])
          assert.deepStrictEqual(list({ sessionId: sid("s2") }, { limit: 9 }), ["a"])
          assert.deepStrictEqual(list({ status: "paused" }, { limit: 9 }), ["paused"])
          assert.deepStrictEqual(list({ groupId: gid("g1"), status: "active" }, { limit: 9, after: "a" }), [
            "b",
            "spent",
          ])
          assert.deepStrictEqual(idsOf(reader.dueSeries(T0, 9)), ["c", "b"])
          assert.deepStrictEqual(idsOf(reader.dueSeries(T0, 1)), ["c"])
          assert.strictEqual(reader.nextSlot(), T0 - 5)
        })
      }))

    test("about runs: appended in order, replaced by position, listed newest first", () =>
      Effect.gen(function* () {
        yield* write((tx) => {
          assert.strictEqual(tx.putRun(aRun({ seriesId: "t1", outcome: "missed" })), 1)
          assert.strictEqual(tx.putRun(aRun({ sessionId: "s2", seriesId: "t1" })), 2)
          assert.strictEqual(tx.putRun(aRun({ outcome: "failed" })), 3)
          assert.strictEqual(tx.putRun(aRun({ position: 1, seriesId: "t1", outcome: "missed", count: 4 })), 1)
        })
        yield* ask((reader) => {
          const positions = (
            filter: Parameters<LedgerReader["runs"]>[0],
            page: { limit: number; after?: number },
          ) => reader.runs(filter, page).map((row) => row.position)
          assert.deepStrictEqual(positions({}, { limit: 9 }), [3, 2, 1])
          assert.deepStrictEqual(positions({}, { limit: 1, after: 3 }), [2])
          assert.deepStrictEqual(positions({ sessionId: s1 }, { limit: 9 }), [3, 1])
          assert.deepStrictEqual(positions({ seriesId: tid("t1") }, { limit: 9 }), [2, 1])
          assert.deepStrictEqual(positions({ seriesId: tid("t1"), sessionId: s1 }, { limit: 9 }), [1])
          assert.deepStrictEqual(positions({ outcomes: ["missed", "failed"] }, { limit: 9 }), [3, 1])
          assert.strictEqual(reader.lastRun(tid("t1"))?.position, 2)
          assert.strictEqual(reader.runs({ outcomes: ["missed"] }, { limit: 1 })[0]?.count, 4)
        })
      }))

    test("about events: in order, above a position, the newest kept and no position given twice", () =>
      Effect.gen(function* () {
        yield* write((tx) => {
          for (const text of ["a", "b", "c", "d"]) tx.appendEvent(anEvent({ text }))
          tx.appendEvent(anEvent({ text: "e", sessionId: null }))
        })
        const texts = (reader: LedgerReader, after: number, limit = 9) =>
          reader.events({}, { limit, after }).map((row) => row.text)
        yield* ask((reader) => {
          assert.deepStrictEqual(texts(reader, 0), ["a", "b", "c", "d", "e"])
          assert.deepStrictEqual(texts(reader, 2, 2), ["c", "d"])
          assert.strictEqual(reader.events({ sessionId: s1 }, { limit: 9 }).length, 4)
          assert.deepStrictEqual(
            reader.events({ sessionId: s1 }, { limit: 1, after: 3 }).map((row) => row.text),
            ["d"],
          )
          const newest = (
            filter: { readonly sessionId?: typeof s1 },
            page: { limit: number; after?: number },
          ) => reader.lastEvents(filter, page).map((row) => row.text)
          assert.deepStrictEqual(newest({}, { limit: 2 }), ["e", "d"])
          assert.deepStrictEqual(newest({}, { limit: 2, after: 4 }), ["c", "b"])
          assert.deepStrictEqual(newest({ sessionId: s1 }, { limit: 2 }), ["d", "c"])
          assert.deepStrictEqual(newest({ sessionId: s1 }, { limit: 9, after: 1 }), [])
        })
        yield* write((tx) => tx.trimEvents(2))
        assert.deepStrictEqual(yield* ask((reader) => texts(reader, 0)), ["d", "e"])
        yield* write((tx) => tx.trimEvents(2))
        assert.deepStrictEqual(yield* ask((reader) => texts(reader, 0)), ["d", "e"])
        yield* write((tx) => tx.trimEvents(0))
        yield* write((tx) => tx.appendEvent(anEvent({ text: "f" })))
        assert.deepStrictEqual(
          yield* ask((reader) => reader.events({}, { limit: 9 }).map((row) => [row.position, row.text])),
          [[6, "f"]],
        )
      }))

    describe("forgets history", () => {
      test("that ended before an instant, and nothing that is open, live, or a session's last life", () =>
        Effect.gen(function* () {
          const ended = { state: "completed", endedAt: T0 - 1 } as const
          yield* write((tx) => {
            tx.putMessage(aMessage({ id: "old", ...ended }))
            tx.putMessage(aMessage({ id: "at", state: "failed", endedAt: T0 }))
            tx.putMessage(aMessage({ id: "open", state: "claimed" }))
            tx.putAttempt(anAttempt({ messageId: "old", endedAt: T0 - 1 }))
            tx.putAttempt(anAttempt({ messageId: "old", number: 2, endedAt: T0 - 1 }))
            tx.putAttempt(anAttempt({ messageId: "at", endedAt: T0 }))
            tx.putIncarnation(anIncarnation({ phase: "ended", endedAt: T0 - 9 }))
            tx.putIncarnation(anIncarnation({ number: 2, phase: "ended", endedAt: T0 - 9 }))
            tx.putIncarnation(anIncarnation({ sessionId: "s2", phase: "ended", endedAt: T0 - 9 }))
            tx.putIncarnation(anIncarnation({ sessionId: "s2", number: 2 }))
            tx.putDelivery(aDelivery({ outboundId: "old", status: "delivered", endedAt: T0 - 1 }))
            tx.putDelivery(aDelivery({ outboundId: "at", status: "dead", endedAt: T0 }))
            tx.putDelivery(aDelivery({ outboundId: "open" }))
            tx.putDelivery(
              aDelivery({ outboundId: "live", sessionId: "s2", status: "delivered", endedAt: T0 - 9 }),
            )
            tx.putRun(aRun({ endedAt: T0 - 1 }))
            tx.putRun(aRun({ endedAt: T0 }))
            assert.strictEqual(tx.deleteHistory(T0, 100), 5)
            assert.strictEqual(tx.deleteHistory(T0, 100), 0)
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.messages({}, { limit: 9 })), ["open", "at"])
            assert.deepStrictEqual(reader.attempts(mid("old"), 9), [])
            assert.strictEqual(reader.attempts(mid("at"), 9).length, 1)
            assert.deepStrictEqual(
              reader.incarnations(s1, { limit: 9 }).map((row) => row.number),
              [2],
            )
            assert.deepStrictEqual(
              reader.incarnations(sid("s2"), { limit: 9 }).map((row) => row.number),
              [2],
            )
            assert.deepStrictEqual(idsOf(reader.deliveries({}, { limit: 9 })), [
              "s2/live",
              "s1/open",
              "s1/at",
            ])
            assert.deepStrictEqual(
              reader.runs({}, { limit: 9 }).map((row) => row.position),
              [2],
            )
          })
        }))

      test("a few rows of each kind at a time, the oldest first, and never gives a position twice", () =>
        Effect.gen(function* () {
          yield* write((tx) => {
            for (const n of [3, 1, 2]) {
              tx.putMessage(aMessage({ id: `m${n}`, state: "completed", endedAt: T0 - 10 + n }))
              tx.putDelivery(aDelivery({ outboundId: `d${n}`, status: "delivered", endedAt: T0 - 10 + n }))
              tx.putRun(aRun({ endedAt: T0 - 10 + n }))
            }
            assert.strictEqual(tx.deleteHistory(T0, 2), 6)
          })
          yield* ask((reader) => {
            assert.deepStrictEqual(idsOf(reader.messages({}, { limit: 9 })), ["m3"])
            assert.deepStrictEqual(idsOf(reader.deliveries({}, { limit: 9 })), ["s1/d3"])
          })
          yield* write((tx) => {
            assert.strictEqual(tx.deleteHistory(T0, 2), 3)
            assert.strictEqual(tx.putDelivery(aDelivery()), 4)
            assert.strictEqual(tx.putRun(aRun()), 4)
          })
        }))
    })

    describe("a transaction", () => {
      test("reads what it has written", () =>
        write((tx) => {
          tx.putSession(aSession({ wakeAt: T0 }))
          assert.strictEqual(tx.sessionsToWake("idle", 1, T0, 9).length, 1)
          tx.putSession(aSession({ wakeAt: null }))
          assert.strictEqual(tx.sessionsToWake("idle", 1, T0, 9).length, 0)
        }))

      for (const [what, doWrite] of EVERY_WRITE) {
        test(`that fails after ${what} leaves no trace, whether it fails with a result or a throw`, () =>
          Effect.gen(function* () {
            const driver = yield* LedgerDriver
            yield* write(seed)
            const before = yield* driver.read(everyAnswer)
            const refused = yield* Effect.flip(
              driver.transaction((tx) => {
                doWrite(tx)
                assert.notDeepEqual(everyAnswer(tx), before)
                return Result.fail("refused")
              }),
            )
            assert.strictEqual(refused, "refused")
            assert.deepStrictEqual(yield* driver.read(everyAnswer), before)
            const bug = new Error("bug")
            const exit = yield* Effect.exit(
              driver.transaction((tx) => {
                doWrite(tx)
                throw bug
              }),
            )
            assert.isTrue(
              Exit.isFailure(exit) && Cause.squash(exit.cause) === bug && Cause.hasDies(exit.cause),
            )
            assert.deepStrictEqual(yield* driver.read(everyAnswer), before)
          }))
      }

      test("that fails spends no position", () =>
        Effect.gen(function* () {
          const driver = yield* LedgerDriver
          const append = (tx: LedgerTx) => {
            tx.appendEvent(anEvent())
            return [tx.putDelivery(aDelivery()), tx.putRun(aRun())]
          }
          yield* Effect.flip(driver.transaction((tx) => Result.fail(append(tx))))
          assert.deepStrictEqual(yield* driver.transaction((tx) => Result.succeed(append(tx))), [1, 1])
          assert.deepStrictEqual(
            (yield* driver.read((reader) => reader.events({}, { limit: 9 }))).map((row) => row.position),
            [1],
          )
        }))

      const contradictions: ReadonlyArray<readonly [string, (tx: LedgerTx) => void]> = [
        ["a second session with the same key", (tx) => tx.putSession(aSession({ id: "s2", key: "key:s1" }))],
        ["a second open attempt of one message", (tx) => tx.putAttempt(anAttempt({ number: 2 }))],
        [
          "a second occurrence of one slot",
          (tx) => tx.putMessage(aMessage({ id: "twice", seriesId: "t1", slot: T0, slotOrigin: "schedule" })),
        ],
      ]
      for (const [what, contradict] of contradictions) {
        test(`that puts ${what} is a defect and changes nothing`, () =>
          Effect.gen(function* () {
            const driver = yield* LedgerDriver
            yield* write(seed)
            yield* write((tx) =>
              tx.putMessage(aMessage({ id: "once", seriesId: "t1", slot: T0, slotOrigin: "schedule" })),
            )
            const before = yield* driver.read(everyAnswer)
            const exit = yield* Effect.exit(write(contradict))
            assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
            assert.deepStrictEqual(yield* driver.read(everyAnswer), before)
          }))
      }

      test("that fails or throws beside others takes none of them down, and each takes effect once", () =>
        Effect.gen(function* () {
          const driver = yield* LedgerDriver
          const one = (n: number) =>
            driver.transaction((tx) => {
              tx.putMessage(aMessage({ id: `m${n}`, seq: n }))
              if (n === 3) return Result.fail("refused")
              if (n === 5) throw new Error("bug")
              return Result.succeed(n)
            })
          const exits = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) => Effect.exit(one(n)), {
            concurrency: "unbounded",
          })
          assert.deepStrictEqual(
            exits.map((exit) =>
              Exit.isSuccess(exit) ? exit.value : Cause.hasDies(exit.cause) ? "died" : "failed",
            ),
            [1, 2, "failed", 4, "died", 6],
          )
          assert.deepStrictEqual(idsOf(yield* driver.read((reader) => reader.messages({}, { limit: 9 }))), [
            "m6",
            "m4",
            "m2",
            "m1",
          ])
        }))

      test("sees what those before it did, however many ask at once", () =>
        Effect.gen(function* () {
          const driver = yield* LedgerDriver
          yield* write((tx) => tx.putSession(aSession()))
          const increment = driver.transaction((tx) => {
            const session = tx.session(s1) ?? aSession()
            tx.putSession({ ...session, queued: session.queued + 1 })
            return Result.succeed(session.queued)
          })
          const seen = yield* Effect.all(
            Array.from({ length: 1_200 }, () => increment),
            { concurrency: "unbounded" },
          )
          assert.deepStrictEqual(
            seen,
            Array.from({ length: 1_200 }, (_, n) => n),
          )
          assert.strictEqual((yield* driver.read((reader) => reader.session(s1)))?.queued, 1_200)
        }))
    })

    test("a read that throws is a defect, and the next one works", () =>
      Effect.gen(function* () {
        const driver = yield* LedgerDriver
        const exit = yield* Effect.exit(
          driver.read(() => {
            throw new Error("bug")
          }),
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        yield* write((tx) => tx.putMeta("k", "v"))
        assert.strictEqual(yield* driver.read((reader) => reader.meta("k")), "v")
      }))
  })
}
