/** The rules of the ledger, transition by transition, on any driver. The clock is the test's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import type { Message, MessageState } from "../../src/domain/Message.ts"
import { livedElsewhere } from "../../src/domain/Incarnation.ts"
import { GroupId, InstallId, MessageId, OutboundId, SeriesId, SessionId } from "../../src/domain/Ids.ts"
import {
  defaultHostLimits,
  defaultPolicy,
  type HostLimits,
  type PolicyOverride,
} from "../../src/domain/Policy.ts"
import type { LedgerDriver, LedgerError } from "../../src/services/LedgerDriver.ts"
import { plainDraft } from "../../src/services/ledger/Accept.ts"
import { findOwnSeries, findSeries } from "../../src/services/ledger/FindSeries.ts"
import { emptyReading } from "../../src/services/Mailbox.ts"
import type { AckRow, OutboundRow, Reading } from "../../src/services/Mailbox.ts"
import { Invalid, type Refusal } from "../../src/services/ledger/Refusals.ts"
import type { Incoming, Sent } from "../../src/services/ledger/Send.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { group as plainGroup, GROUP, SESSION } from "../../src/testing/Timeline.ts"

const crash = { exitCode: 1, signal: null, oomKilled: false, manner: "exited" as const }
const cleanExit = { ...crash, exitCode: 0 }

export const reading = (parts: Partial<Reading>): Reading => ({ ...emptyReading, ...parts })

export const ack = (
  id: string,
  status: AckRow["status"],
  tries: number | null = 0,
  more: Partial<AckRow["detail"]> = {},
): AckRow => ({
  messageId: id,
  status,
  changedAt: null,
  precision: "ms",
  tries,
  outcome: null,
  detail: { retryable: true, error: null, result: null, ...more },
})

export const row = (id: string, more: Partial<OutboundRow> = {}): OutboundRow => ({
  id: OutboundId.make(id),
  seq: null,
  inReplyTo: null,
  timestamp: null,
  deliverAfter: null,
  recurrence: null,
  kind: "chat",
  channelType: null,
  platformId: null,
  threadId: null,
  content: `{"text":"${id}"}`,
  ...more,
})

const started = Effect.gen(function* () {
  const store = yield* SessionStore
  yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 1 })
  yield* store.resolveSession({
    id: SESSION,
    groupId: GROUP,
    mode: "shared",
    address: { channelType: "test", platformId: "p1", threadId: null },
  })
  return store
})

const accept = (id: string, more: Partial<Parameters<typeof plainDraft>[0]> = {}) =>
  SessionStore.use((store) =>
    store.accept(
      SESSION,
      plainDraft({ id: MessageId.make(id), kind: "chat", content: `{"text":"${id}"}`, dueAt: 0, ...more }),
    ),
  )

const message = (id: string) =>
  SessionStore.use((store) =>
    Effect.flatMap(
      store.read((reader) => reader.message(MessageId.make(id))),
      (found) => (found === undefined ? Effect.die(new Error(`no message ${id}`)) : Effect.succeed(found)),
    ),
  )

/** Begins a life and says that it runs. */
const wake = SessionStore.use((store) =>
  Effect.tap(store.beginIncarnation(SESSION, "due", "boot"), ({ incarnation }) =>
    store.markStarted(SESSION, incarnation.number, "{}"),
  ),
)

const pair = (number: number) => ({ sessionId: SESSION, number })

const assertMessage = (found: Message, state: MessageState, tries: number, attempts: number) =>
  assert.deepStrictEqual([found.state, found.tries, found.attempts], [state, tries, attempts])

export const sessionStoreContract = (name: string, ledger: Layer.Layer<LedgerDriver, LedgerError>): void => {
  const story = <A, E>(
    title: string,
    tell: (store: SessionStore["Service"]) => Effect.Effect<A, E, SessionStore>,
    policy: PolicyOverride = {},
    limits: Partial<HostLimits> = {},
  ) =>
    it.effect(title, () =>
      Effect.flatMap(started, tell).pipe(
        Effect.provide(
          SessionStore.layer({
            policy: { ...defaultPolicy, ...policy },
            limits: { ...defaultHostLimits, ...limits },
            zone: "UTC",
          }).pipe(Layer.provideMerge(ledger)),
        ),
      ),
    )

  describe(`the rules of the ledger, ${name}`, () => {
    describe("accepting", () => {
      story("the same id and content again is the existing message; other content is a conflict", () =>
        Effect.gen(function* () {
          const first = yield* accept("m1")
          const again = yield* accept("m1")
          assert.deepStrictEqual([first._tag, again._tag], ["Accepted", "Existing"])
          const other = yield* Effect.flip(accept("m1", { content: `{"text":"other"}` }))
          assert.strictEqual(other._tag, "Conflict")
          assert.strictEqual((yield* message("m1")).content, `{"text":"m1"}`)
        }),
      )

      story("host sequence numbers are even and grow", () =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* accept("m2")
          const seqs = [(yield* message("m1")).seq, (yield* message("m2")).seq]
          assert.deepStrictEqual(seqs, [2, 4])
        }),
      )

      story(
        "beyond the limit of queued messages it is refused, and nothing of it is kept",
        (store) =>
          Effect.gen(function* () {
            yield* accept("m1")
            const full = yield* Effect.flip(accept("m2"))
            assert.strictEqual(full._tag, "Full")
            assert.isUndefined(yield* store.read((reader) => reader.message(MessageId.make("m2"))))
          }),
        { maxQueuedMessages: 1 },
      )
    })

    describe("waking", () => {
      story("a session has at most one live incarnation", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* accept("m2")
          const second = yield* Effect.flip(store.beginIncarnation(SESSION, "due", "boot"))
          assert.strictEqual(second._tag, "Conflict")
          assert.strictEqual((yield* store.read((reader) => reader.liveIncarnations())).length, 1)
        }),
      )

      story("context and on-wake rows ride along; context alone wakes nobody", (store) =>
        Effect.gen(function* () {
          yield* accept("context", { trigger: false })
          yield* accept("note", { kind: "system" })
          const nobody = yield* Effect.flip(store.beginIncarnation(SESSION, "due", "boot"))
          assert.strictEqual(nobody._tag, "Conflict")
          assert.isNull(yield* store.read((reader) => reader.session(SESSION)?.wakeAt ?? null))
          yield* accept("m1")
          yield* wake
          assert.strictEqual((yield* message("context")).admittedIn, 1)
          yield* accept("greeting", { onWake: true })
          yield* store.admitMore(SESSION)
          assert.strictEqual((yield* message("greeting")).admittedIn, 0, "only a first poll sees it")
        }),
      )

      story("a held session wakes for nothing until it is released", (store) =>
        Effect.gen(function* () {
          yield* store.setStatus(SESSION, "held", "by an operator")
          yield* accept("m1")
          assert.isNull(yield* store.read((reader) => reader.session(SESSION)?.wakeAt ?? null))
          assert.strictEqual(
            (yield* Effect.flip(store.beginIncarnation(SESSION, "due", "boot")))._tag,
            "Conflict",
          )
          yield* store.setStatus(SESSION, "active", null)
          assert.strictEqual(yield* store.read((reader) => reader.session(SESSION)?.wakeAt), 0)
        }),
      )

      story("a failed start spends no try, gives back what was shown, and backs the session off", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          for (const [failures, waitMs] of [10_000, 20_000, 40_000].entries()) {
            yield* store.beginIncarnation(SESSION, "due", "boot")
            yield* store.failStart(SESSION, failures + 1, {
              reason: "ImageMissing",
              message: "gone",
              backOff: "session",
            })
            const session = yield* store.read((reader) => reader.session(SESSION))
            const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            assert.strictEqual(session?.wakeAt, now + waitMs)
            assert.include(session?.wakeError, "gone")
            assertMessage(yield* message("m1"), "pending", 0, 0)
            yield* TestClock.adjust(waitMs)
          }
        }),
      )

      story("a claim ends the backoff", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* store.beginIncarnation(SESSION, "due", "boot")
          yield* store.failStart(SESSION, 1, { reason: "x", message: "y", backOff: "session" })
          yield* wake
          yield* store.ingest(pair(2), reading({ acks: [ack("m1", "processing")] }))
          const session = yield* store.read((reader) => reader.session(SESSION))
          assert.deepStrictEqual(
            [session?.wakeFailures, session?.wakeNotBefore, session?.wakeError],
            [0, 0, null],
          )
        }),
      )
    })

    describe("acks", () => {
      story("a claim opens one attempt, however often it is read, and its end closes it once", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          for (let look = 0; look < 3; look++) {
            yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
          }
          assertMessage(yield* message("m1"), "claimed", 0, 1)
          for (let look = 0; look < 3; look++) {
            yield* store.ingest(pair(1), reading({ acks: [ack("m1", "completed")] }))
          }
          assertMessage(yield* message("m1"), "completed", 0, 1)
          const runs = yield* store.read((reader) => reader.runs({ sessionId: SESSION }, { limit: 10 }))
          assert.strictEqual(runs.length, 1)
        }),
      )

      story(
        "a failed ack is retried with a growing backoff, six executions in all, and then fails",
        (store) =>
          Effect.gen(function* () {
            yield* accept("m1")
            yield* wake
            for (let tries = 0; tries < 6; tries++) {
              yield* store.admitMore(SESSION)
              yield* store.ingest(pair(1), reading({ acks: [ack("m1", "failed", tries, { error: "no" })] }))
              const found = yield* message("m1")
              const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
              if (tries < 5) {
                assertMessage(found, "pending", tries + 1, tries + 1)
                assert.strictEqual(found.dueAt, now + 5_000 * 2 ** tries)
                // Another look at the same ack neither counts nor pushes it further.
                yield* store.ingest(pair(1), reading({ acks: [ack("m1", "failed", tries)] }))
                assert.deepStrictEqual(yield* message("m1"), found)
                yield* TestClock.adjust(5_000 * 2 ** tries)
                // Shown again, its old ack still stands there until the container claims it anew.
                yield* store.admitMore(SESSION)
                yield* store.ingest(pair(1), reading({ acks: [ack("m1", "failed", tries)] }))
                assertMessage(yield* message("m1"), "pending", tries + 1, tries + 1)
              } else assertMessage(found, "failed", 6, 6)
            }
          }),
      )

      story("an ack for a row that this incarnation was never shown changes nothing", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* accept("m2", { dueAt: 60_000 })
          yield* store.ingest(pair(1), reading({ acks: [ack("m2", "completed")] }))
          assertMessage(yield* message("m2"), "pending", 0, 0)
        }),
      )

      story("acks of an incarnation that ended change nothing", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.endIncarnation(SESSION, 1, cleanExit, emptyReading)
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "completed")], outbound: [row("o1")] }))
          assertMessage(yield* message("m1"), "pending", 0, 0)
          assert.deepStrictEqual(yield* store.read((reader) => reader.deliveries({}, { limit: 10 })), [])
        }),
      )

      story("an ack on an ended message is recorded as late, once, and its output is delivered", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.cancelMessage(MessageId.make("m1"))
          for (let look = 0; look < 2; look++) {
            yield* store.ingest(
              pair(1),
              reading({ acks: [ack("m1", "completed")], outbound: [row("o1", { inReplyTo: "m1" })] }),
            )
          }
          assertMessage(yield* message("m1"), "cancelled", 0, 1)
          const attempts = yield* store.read((reader) => reader.attempts(MessageId.make("m1"), 10))
          assert.deepStrictEqual(
            attempts.map(({ outcome, costsTry }) => [outcome, costsTry]),
            [["late", false]],
          )
          const deliveries = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.strictEqual(deliveries.length, 1)
        }),
      )

      story("a claim that vanished was given back: no try, and it is due again", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
          yield* store.ingest(pair(1), emptyReading)
          assertMessage(yield* message("m1"), "pending", 0, 1)
        }),
      )

      story("given back after a stop for being stuck it costs its try all the same", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
          yield* store.requestStop(SESSION, 1, "claim", "it went quiet")
          yield* store.ingest(pair(1), emptyReading)
          assertMessage(yield* message("m1"), "claimed", 0, 1)
          yield* store.endIncarnation(SESSION, 1, cleanExit, emptyReading)
          assertMessage(yield* message("m1"), "pending", 1, 1)
        }),
      )
    })

    describe("the end of an incarnation", () => {
      story("ingests what is left and closes every open attempt exactly once", (store) =>
        Effect.gen(function* () {
          for (const id of ["done", "open"]) yield* accept(id)
          yield* wake
          const last = reading({
            acks: [ack("done", "completed"), ack("open", "processing")],
            outbound: [row("o1", { inReplyTo: "done" })],
          })
          yield* store.endIncarnation(SESSION, 1, crash, last)
          yield* store.endIncarnation(SESSION, 1, cleanExit, reading({ outbound: [row("too-late")] }))
          assert.strictEqual((yield* store.read((reader) => reader.incarnation(SESSION, 1)))?.exitCode, 1)
          assertMessage(yield* message("done"), "completed", 0, 1)
          assertMessage(yield* message("open"), "pending", 1, 1)
          assert.strictEqual((yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))).length, 1)
          assert.deepStrictEqual(yield* store.read((reader) => reader.openAttempts(SESSION)), [])
          assert.isFalse(yield* store.read((reader) => reader.session(SESSION)?.live))
        }),
      )

      for (const [reason, costs] of [
        ["ceiling", 1],
        ["claim", 1],
        ["startup", 1],
        ["idle", 0],
        ["operator", 0],
        ["shutdown", 0],
        ["projection-blocked", 0],
        ["quarantine", 0],
      ] as const)
        story(`stopped as '${reason}', an open claim costs ${costs} tries`, (store) =>
          Effect.gen(function* () {
            yield* accept("m1")
            yield* wake
            yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
            yield* store.requestStop(SESSION, 1, reason, "for the test")
            yield* store.requestStop(SESSION, 1, "operator", "the first reason stands")
            yield* store.endIncarnation(SESSION, 1, crash, reading({ acks: [ack("m1", "processing")] }))
            assertMessage(yield* message("m1"), "pending", costs, 1)
            const life = yield* store.read((reader) => reader.incarnation(SESSION, 1))
            assert.strictEqual(life?.reason, reason)
          }),
        )

      story("a reboot of the host costs no try", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
          yield* store.endIncarnation(SESSION, 1, { ...crash, exitCode: null, manner: "gone" }, emptyReading)
          assert.strictEqual((yield* message("m1")).tries, 0)
        }),
      )

      story("a container that dies without a claim spends no try and backs its session off", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.endIncarnation(SESSION, 1, crash, emptyReading)
          assertMessage(yield* message("m1"), "pending", 0, 0)
          assert.strictEqual(yield* store.read((reader) => reader.session(SESSION)?.wakeAt), 10_000)
        }),
      )
    })

    describe("time to live", () => {
      story("unclaimed in time it expires; a claim ends the TTL, also for its retries", (store) =>
        Effect.gen(function* () {
          yield* accept("never", { dueAt: 10_000, expiresAt: 20_000 })
          yield* accept("taken", { expiresAt: 20_000 })
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("taken", "processing")] }))
          yield* store.endIncarnation(SESSION, 1, crash, reading({ acks: [ack("taken", "processing")] }))
          yield* TestClock.setTime(20_000)
          assert.strictEqual(yield* store.expireMessages(10), 0, "exactly at the limit is in time")
          yield* TestClock.setTime(20_001)
          assert.strictEqual(yield* store.expireMessages(10), 1)
          assert.strictEqual((yield* message("never")).state, "expired")
          assertMessage(yield* message("taken"), "pending", 1, 1)
        }),
      )
    })

    describe("deliveries", () => {
      const wrote = (store: SessionStore["Service"], ...rows: ReadonlyArray<OutboundRow>) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ outbound: rows }))
        })
      const due = (store: SessionStore["Service"]) =>
        Effect.clockWith((clock) =>
          Effect.flatMap(clock.currentTimeMillis, (now) =>
            Effect.map(
              store.read((reader) => reader.dueDeliveries(now, 10)),
              (rows) => rows.map(({ outboundId }) => String(outboundId)),
            ),
          ),
        )
      const id = (outbound: string) => `${SESSION}/${outbound}` as never
      const stranger = {
        name: "stranger",
        displayName: null,
        type: "channel",
        channelType: "webhook",
        platformId: "stranger",
        agentGroupId: null,
      } as const

      story("one of a lane at a time, in order; other lanes do not wait", (store) =>
        Effect.gen(function* () {
          yield* accept("elsewhere", { channelType: "test", platformId: "p2" })
          yield* wrote(store, row("o1"), row("o2"), row("p", { inReplyTo: "elsewhere" }))
          assert.deepStrictEqual(yield* due(store), ["o1", "p"])
          yield* store.settleDelivery(id("o1"), { _tag: "Sent", platformMessageId: "x" })
          assert.deepStrictEqual((yield* due(store)).toSorted(), ["o2", "p"])
        }),
      )

      story("a row is ingested once, whatever is read again", (store) =>
        Effect.gen(function* () {
          yield* wrote(store, row("o1"))
          yield* store.settleDelivery(id("o1"), { _tag: "Sent", platformMessageId: "x" })
          yield* store.ingest(pair(1), reading({ outbound: [row("o1")] }))
          const rows = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.deepStrictEqual(
            rows.map(({ status }) => status),
            ["delivered"],
          )
        }),
      )

      story(
        "a permanent refusal is dead at once, and the next of its lane proceeds; a redrive goes to the end",
        (store) =>
          Effect.gen(function* () {
            yield* wrote(store, row("o1"), row("o2"))
            yield* store.settleDelivery(id("o1"), {
              _tag: "NotSent",
              kind: "Permanent",
              message: "no such chat",
              retryAfterMs: null,
            })
            assert.deepStrictEqual(yield* due(store), ["o2"])
            yield* store.redriveDelivery(id("o1"))
            assert.deepStrictEqual(yield* due(store), ["o2"])
            const again = yield* Effect.flip(store.redriveDelivery(id("o1")))
            assert.strictEqual(again._tag, "Conflict")
          }),
      )

      story("to be delivered later, it holds nobody up and goes when its time comes", (store) =>
        Effect.gen(function* () {
          yield* wrote(store, row("later", { deliverAfter: 60_000 }), row("now"))
          assert.deepStrictEqual(yield* due(store), ["now"])
          yield* TestClock.setTime(60_000)
          yield* store.settleDelivery(id("now"), { _tag: "Sent", platformMessageId: null })
          assert.deepStrictEqual(yield* due(store), ["later"])
        }),
      )

      story("only along its own conversation and its group's destinations", (store) =>
        Effect.gen(function* () {
          yield* wrote(store, row("out", { channelType: "webhook", platformId: "stranger" }))
          const [refused] = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.strictEqual(refused?.status, "refused", "which is no failure of the channel")
          assert.include(refused?.lastError, "stranger")
        }),
      )

      story("what was refused is refused again by a redrive, until its destination is allowed", (store) =>
        Effect.gen(function* () {
          yield* wrote(
            store,
            row("out", { channelType: "webhook", platformId: "stranger" }),
            row("again", { recurrence: "0 9 * * *" }),
          )
          const out = yield* Effect.flip(store.redriveDelivery(id("out")))
          assert.include(out.message, "stranger")
          yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 2, destinations: [stranger] })
          yield* store.redriveDelivery(id("out"))
          assert.deepStrictEqual(yield* due(store), ["out"])
          const again = yield* Effect.flip(store.redriveDelivery(id("again")))
          assert.include(again.message, "recur", "its content is what it was")
        }),
      )

      story("a destination that is taken away is not used any more, also by what waited for it", (store) =>
        Effect.gen(function* () {
          yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 2, destinations: [stranger] })
          yield* wrote(store, row("out", { channelType: "webhook", platformId: "stranger" }))
          assert.deepStrictEqual(yield* due(store), ["out"])
          yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 3 })
          assert.isUndefined(yield* store.takeDelivery(id("out")))
          const [row_] = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.strictEqual(row_?.status, "refused")
        }),
      )

      story("what can't be sent as it was asked is refused, and the agent told once", (store) =>
        Effect.gen(function* () {
          yield* wrote(
            store,
            row("file", { content: `{"text":"here","files":["a.pdf"]}`, inReplyTo: "m1" }),
            row("late", { unreadable: "deliver_after: 'soon' is no time", inReplyTo: "m1" }),
            row("plain", { content: JSON.stringify({ text: `no "files" here`, files: [] }) }),
          )
          const rows = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.deepStrictEqual(
            rows.map(({ status }) => status),
            ["pending", "refused", "refused"],
          )
          const told = (yield* store.read((reader) => reader.messages({ sessionId: SESSION }, { limit: 9 })))
            .filter(({ id }) => id.startsWith("notice-"))
            .map(({ content, kind }) => ({ kind, content }))
          assert.strictEqual(told.length, 2)
          assert.include(told[1]?.content, "file was not sent")
          assert.include(told[1]?.content, `"sender":"Lamplighter"`)
          assert.include(told[0]?.content, "soon")
          const { delivered } = (yield* store.projection(SESSION, 1, 0)) ?? assert.fail()
          assert.deepStrictEqual(
            delivered.map(({ outboundId, status }) => `${outboundId} ${status}`),
            ["file failed", "late failed", "plain accepted"],
          )
          assert.include(
            delivered[0]?.detail,
            "files can't be sent",
            "at once, in the table where it waits for it",
          )
        }),
      )

      story("an action is answered in the same table, and a sender of any form is shown as text", (store) =>
        Effect.gen(function* () {
          yield* accept("m0", { content: `{"text":"hi","sender":{"id":"u1","name":"Ann"}}` })
          yield* wrote(
            store,
            row("list", { kind: "system", content: `{"action":"list_tasks"}` }),
            row("make", { kind: "system", content: `{"action":"create_agent"}` }),
          )
          const shown = (yield* store.projection(SESSION, 1, 0)) ?? assert.fail()
          assert.deepStrictEqual(
            shown.delivered.map(({ detail, status }) => [status, detail?.slice(0, 18)]),
            [
              ["delivered", "There are no tasks"],
              ["failed", "this system action"],
            ],
          )
          const greeting = shown.messages.find(({ message: { content } }) => content.includes("hi"))
          assert.deepStrictEqual(JSON.parse(greeting?.message.content ?? ""), { text: "hi", sender: "Ann" })
        }),
      )

      story(
        "a wait that the channel asks for spends no attempt, and ends three days after the first",
        (store) =>
          Effect.gen(function* () {
            yield* wrote(store, row("o1"), row("o2"))
            const busy = {
              _tag: "NotSent",
              kind: "Transient",
              message: "429",
              retryAfterMs: 7_200_000,
            } as const
            for (let ask = 0; ask < 36; ask++) {
              yield* store.settleDelivery(id("o1"), busy)
              yield* TestClock.adjust(7_200_000)
            }
            const waiting = yield* store.read((reader) => reader.delivery(id("o1")))
            assert.deepStrictEqual([waiting?.status, waiting?.attempts], ["pending", 0])
            assert.isUndefined(yield* store.takeDelivery(id("o1")), "its days are over")
            const dead = yield* store.read((reader) => reader.delivery(id("o1")))
            assert.strictEqual(dead?.status, "dead")
            assert.include(dead?.lastError, "deliveryMaxAgeMs")
            assert.deepStrictEqual(yield* due(store), ["o2"])
          }),
      )

      story("a recurrence on an outbound row is refused and reported", (store) =>
        Effect.gen(function* () {
          yield* wrote(store, row("again", { recurrence: "0 9 * * *" }))
          const [refused] = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.deepStrictEqual([refused?.status, refused?.nextAttemptAt], ["refused", null])
        }),
      )
      story("rows that can't be read are told, with the next thing that the agent is told", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          const bad = { table: "messages_out", id: "bad", reason: "content is not JSON" }
          yield* store.ingest(pair(1), reading({ rejected: [bad, { ...bad, id: "worse" }] }))
          const rows = yield* store.read((reader) => reader.messages({ sessionId: SESSION }, { limit: 9 }))
          assert.strictEqual(rows.length, 2)
          assert.strictEqual(rows[0]?.kind, "system")
          assert.include(rows[0]?.content, "2 of your rows")
        }),
      )

      story(
        "a session that filled a channel is refused there; others have their share, up to twice the limit",
        (store) =>
          Effect.gen(function* () {
            yield* wrote(store, row("o1"), row("o2"))
            const full = yield* Effect.flip(accept("m2"))
            assert.strictEqual(full._tag, "Full")
            const other = SessionId.make("s2")
            const address = { channelType: "test", platformId: "p2", threadId: null }
            yield* store.resolveSession({ id: other, groupId: GROUP, mode: "shared", address })
            const draft = plainDraft({ id: MessageId.make("m3"), kind: "chat", content: "{}", dueAt: 0 })
            assert.strictEqual((yield* store.accept(other, draft))._tag, "Accepted")
            yield* store.ingest(pair(1), reading({ outbound: [row("o3"), row("o4")] }))
            const late = yield* Effect.flip(store.accept(other, { ...draft, id: MessageId.make("m4") }))
            assert.strictEqual(late._tag, "Full")
          }),
        {},
        { maxPendingDeliveries: 2 },
      )
    })

    describe("agents that write to each other", () => {
      const OTHER = GroupId.make("other")
      const THERE = SessionId.make("agent-other")
      const toOther = {
        name: "o",
        displayName: null,
        type: "agent",
        channelType: null,
        platformId: null,
      } as const
      const ask = { channelType: "agent", platformId: OTHER } as const

      /** This group may write to the other one, and has asked it while it worked on `m1`. */
      const asking = (store: SessionStore["Service"], ...rows: ReadonlyArray<OutboundRow>) =>
        Effect.gen(function* () {
          const destinations = [{ ...toOther, agentGroupId: OTHER }]
          yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 2, destinations })
          yield* store.putGroup({ ...plainGroup, id: OTHER, name: "Other", createdAt: 0, revision: 1 })
          yield* accept("m1")
          yield* wake
          yield* answering(store, SESSION, "m1", ...rows.map((r) => ({ ...r, inReplyTo: "m1" })))
        })
      /** One quick turn: claim, rows and ack in one reading. */
      const answering = (
        store: SessionStore["Service"],
        sessionId: SessionId,
        inReplyTo: string,
        ...rows: ReadonlyArray<OutboundRow>
      ) =>
        Effect.gen(function* () {
          yield* store.ingest(
            { sessionId, number: 1 },
            reading({
              acks: [ack(inReplyTo, "completed")],
              outbound: rows,
            }),
          )
          for (const { id } of rows) yield* store.forward(`${sessionId}/${id}` as never)
        })
      const of = (store: SessionStore["Service"], sessionId: SessionId) =>
        store.read((reader) => reader.messages({ sessionId }, { limit: 50 }).toReversed())
      const wakeThere = SessionStore.use((store) =>
        Effect.andThen(store.beginIncarnation(THERE, "due", "boot"), store.markStarted(THERE, 1, "{}")),
      )

      story("the receiver sees who asked, and an answer goes to the session that asked", (store) =>
        Effect.gen(function* () {
          yield* asking(store, row("q", { ...ask, content: `{"text":"help","sender":"the boss"}` }))
          const [question] = yield* of(store, THERE)
          assert.deepInclude(question, {
            channelType: "agent",
            platformId: GROUP,
            sourceSessionId: SESSION,
            hops: 1,
            content: JSON.stringify({ text: "help", sender: plainGroup.name }),
          })
          yield* wakeThere
          yield* answering(store, THERE, question?.id ?? "", row("a", { inReplyTo: question?.id ?? null }))
          const answer = (yield* of(store, SESSION)).at(-1)
          assert.deepInclude(answer, {
            channelType: "agent",
            platformId: OTHER,
            sourceSessionId: THERE,
            hops: 2,
            content: `{"text":"a","sender":"Other"}`,
          })
          yield* store.admitMore(SESSION)
          const tell = row("told", { inReplyTo: answer?.id ?? null })
          yield* store.ingest(
            pair(1),
            reading({ acks: [ack(answer?.id ?? "", "completed")], outbound: [tell] }),
          )
          const told = yield* store.read((reader) => reader.delivery(`${SESSION}/told` as never))
          assert.deepStrictEqual(
            [told?.channelType, told?.platformId, told?.inReplyTo, told?.status].map(String),
            ["test", "p1", "m1", "pending"],
          )
        }),
      )

      story("an explicit answer finds that session too, and what copies the address is an answer", (store) =>
        Effect.gen(function* () {
          yield* asking(store, row("q", ask))
          const [question] = yield* of(store, THERE)
          yield* wakeThere
          const { channelType, platformId, threadId } = question ?? assert.fail()
          yield* answering(
            store,
            THERE,
            question?.id ?? "",
            row("copied", { channelType, platformId, threadId, inReplyTo: question?.id ?? null }),
            row("explicit", { channelType, platformId }),
          )
          const received = (yield* of(store, SESSION)).slice(1)
          assert.deepStrictEqual(
            received.map(({ content }) => JSON.parse(content).text),
            ["copied", "explicit"],
          )
        }),
      )

      story(
        "words that led to too many words are refused, whatever is answered with them, and both are told",
        (store) =>
          Effect.gen(function* () {
            yield* asking(store, row("q", ask))
            const [question] = yield* of(store, THERE)
            yield* wakeThere
            yield* answering(store, THERE, question?.id ?? "", row("a", { inReplyTo: null }))
            const refused = yield* store.read((reader) => reader.delivery(`${THERE}/a` as never))
            assert.strictEqual(refused?.status, "refused")
            assert.include(refused?.lastError, "maxAgentHops")
            for (const sessionId of [SESSION, THERE]) {
              const notice = (yield* of(store, sessionId)).at(-1)
              assert.deepInclude(notice, { kind: "system" })
              assert.include(notice?.content, "maxAgentHops")
            }
          }),
        { maxAgentHops: 1 },
      )

      story(
        "two groups' agents write to each other so often within an hour, and are told once",
        (store) =>
          Effect.gen(function* () {
            yield* asking(store, ...["q1", "q2", "q3", "q4"].map((id) => row(id, ask)))
            const there = yield* of(store, THERE)
            assert.deepStrictEqual(
              there.map(({ kind }) => kind),
              ["chat", "chat", "system"],
            )
            yield* TestClock.adjust(3_600_000)
            yield* store.redriveDelivery(`${SESSION}/q3` as never)
            yield* store.forward(`${SESSION}/q3` as never)
            assert.strictEqual((yield* of(store, THERE)).at(-1)?.kind, "chat")
          }),
        { maxAgentMessagesPerHour: 2 },
      )

      story("what a turn writes answers all of its messages", (store) =>
        Effect.gen(function* () {
          for (const id of ["m1", "m2", "m3"]) yield* accept(id)
          yield* wake
          const claimed = (id: string, at: number) => ({ ...ack(id, "processing"), changedAt: at })
          yield* store.ingest(
            pair(1),
            reading({
              acks: [claimed("m1", 0), claimed("m2", 0), { ...ack("m3", "completed"), changedAt: 9 }],
              outbound: [row("both", { inReplyTo: "m1" }), row("third", { inReplyTo: "m3" })],
            }),
          )
          yield* store.ingest(
            pair(1),
            reading({ acks: [claimed("m1", 0), claimed("m2", 0)], outbound: [row("late")] }),
          )
          const rows = yield* store.read((reader) => reader.deliveries({}, { limit: 9 }))
          assert.deepStrictEqual(
            rows.map(({ answers }) => answers),
            [["m1", "m2"], ["m3"], ["m1", "m2"]] as never,
          )
        }),
      )
    })

    describe("operators", () => {
      story("a claimed message can't be cancelled, an ended one neither", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")] }))
          assert.strictEqual((yield* Effect.flip(store.cancelMessage(MessageId.make("m1"))))._tag, "Conflict")
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "completed")] }))
          assert.strictEqual((yield* Effect.flip(store.cancelMessage(MessageId.make("m1"))))._tag, "Conflict")
          assertMessage(yield* message("m1"), "completed", 0, 1)
        }),
      )

      story(
        "a running message that is cancelled ends at once, its container is stopped, the others pay nothing",
        (store) =>
          Effect.gen(function* () {
            yield* accept("m1")
            yield* accept("m2")
            yield* wake
            yield* store.ingest(
              pair(1),
              reading({ acks: [ack("m1", "processing"), ack("m2", "processing")] }),
            )
            const refused = yield* Effect.flip(store.cancelMessage(MessageId.make("m1")))
            assert.include(refused.message, "messages cancel --running")
            yield* store.cancelMessage(MessageId.make("m1"), "running")
            assertMessage(yield* message("m1"), "cancelled", 0, 1)
            const [attempt] = yield* store.read((reader) => reader.attempts(MessageId.make("m1"), 1))
            assert.deepInclude(attempt, { outcome: "host-stopped", costsTry: false })
            const life = yield* store.read((reader) => reader.incarnation(SESSION, 1))
            assert.deepInclude(life, { phase: "stopping", stopReason: "cancelled" })
            yield* store.endIncarnation(SESSION, 1, crash, reading({ acks: [ack("m2", "processing")] }))
            assertMessage(yield* message("m1"), "cancelled", 0, 1)
            assertMessage(yield* message("m2"), "pending", 0, 1)
            const again = yield* Effect.flip(store.cancelMessage(MessageId.make("m1"), "running"))
            assert.include(again.message, "has ended (cancelled)")
          }),
      )

      story("a waiting message may be cancelled in case that it runs already", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* store.cancelMessage(MessageId.make("m1"), "running")
          assertMessage(yield* message("m1"), "cancelled", 0, 0)
        }),
      )

      story("a redrive is a new message that names the old one, with fresh tries", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* store.cancelMessage(MessageId.make("m1"))
          yield* store.redriveMessage(MessageId.make("m1"), MessageId.make("m2"))
          const redriven = yield* message("m2")
          assert.deepStrictEqual([redriven.redriveOf, redriven.state, redriven.tries], ["m1", "pending", 0])
          assert.strictEqual((yield* message("m1")).state, "cancelled")
        }),
      )
    })

    story(
      "a life of another host, whose files are not here, ends as lost: no try, and the session goes on",
      (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          const there = InstallId.make("there0001")
          const begun = yield* store.beginIncarnation(SESSION, "due", "boot", there)
          assert.deepInclude(begun.incarnation, { hostId: there })
          assert.isTrue(livedElsewhere(begun.incarnation, InstallId.make("here00001")))
          assert.isFalse(livedElsewhere(begun.incarnation, there))
          yield* store.markStarted(SESSION, 1, "{}")
          const sessionState = [{ key: "k", value: "v" }]
          yield* store.endIncarnation(SESSION, 1, cleanExit, reading({ sessionState }))
          yield* store.beginIncarnation(SESSION, "due", "boot", there)
          yield* store.ingest(pair(2), reading({ acks: [ack("m1", "processing", null)] }))
          yield* store.requestStop(SESSION, 2, "claim", "it hung there")
          const elsewhere = { ...crash, exitCode: null, manner: "elsewhere" as const }
          const ended = yield* store.endIncarnation(SESSION, 2, elsewhere, emptyReading)
          assert.deepInclude(ended, { phase: "ended", reason: "lost", rowSkewMs: null })
          assert.include(ended?.error, "another host")
          assertMessage(yield* message("m1"), "pending", 0, 1)
          const next = yield* store.beginIncarnation(SESSION, "due", "boot", InstallId.make("here00001"))
          assert.strictEqual(next.incarnation.number, 3)
          assert.deepStrictEqual(next.carryover.sessionState, sessionState)
          assert.strictEqual(next.session.wakeFailures, 0)
        }),
    )

    story("a session wakes for the earliest of its messages, and of two for the more urgent", (store) =>
      Effect.gen(function* () {
        const wakeOf = Effect.map(
          store.read((reader) => reader.session(SESSION)),
          (session) => [session?.wakeAt, session?.wakePriority],
        )
        const seen: Array<unknown> = []
        for (const [id, dueAt, priority] of [
          ["m1", 5_000, 1],
          ["m2", 9_000, 2],
          ["m3", 5_000, 2],
          ["m4", 4_000, 0],
          ["m5", 4_500, 1],
        ] as const) {
          yield* accept(id, { dueAt, priority })
          seen.push(yield* wakeOf)
        }
        yield* accept("context", { dueAt: 0, trigger: false })
        seen.push(yield* wakeOf)
        yield* store.cancelMessage(MessageId.make("m4"))
        seen.push(yield* wakeOf)
        assert.deepStrictEqual(seen, [
          [5_000, 1],
          [5_000, 1],
          [5_000, 2],
          [4_000, 0],
          [4_000, 0],
          [4_000, 0],
          [4_500, 1],
        ])
      }),
    )

    describe("the removal of a group", () => {
      const removal = (store: SessionStore["Service"], queued: "refuse" | "cancel") =>
        Effect.map(store.removeGroup(GROUP, queued), ({ _tag }) => _tag)

      story("is refused while work waits, and says what to do", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          const refused = yield* Effect.flip(store.removeGroup(GROUP, "refuse"))
          assert.strictEqual(refused._tag, "Conflict")
          assert.include(refused.message, "and 1 message that")
          assert.include(refused.message, "--queued cancel")
          assertMessage(yield* message("m1"), "pending", 0, 0)
        }),
      )

      story("ends what waits and what runs, keeps all history, and takes no more", (store) =>
        Effect.gen(function* () {
          yield* accept("m0")
          yield* store.cancelMessage(MessageId.make("m0"))
          yield* accept("m1")
          yield* accept("m2", { dueAt: 1_000_000 })
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "processing")], outbound: [row("o1")] }))
          assert.strictEqual(yield* removal(store, "cancel"), "Going")
          assert.strictEqual(yield* removal(store, "cancel"), "Removed")
          const left = yield* store.read((reader) => ({
            group: reader.group(GROUP),
            messages: reader.messages({}, { limit: 9 }).map(({ id, state }): [string, string] => [id, state]),
            runs: reader.runs({}, { limit: 9 }).length,
            pending: reader.deliveries({ statuses: ["pending"] }, { limit: 9 }).length,
            life: reader.incarnation(SESSION, 1)?.stopReason,
          }))
          assert.deepStrictEqual(left, {
            group: undefined,
            messages: [
              ["m2", "cancelled"],
              ["m1", "cancelled"],
              ["m0", "cancelled"],
            ],
            runs: 3,
            pending: 1,
            life: "cancelled",
          })
          yield* store.endIncarnation(SESSION, 1, cleanExit, emptyReading)
          assert.strictEqual((yield* Effect.flip(accept("m3")))._tag, "NotFound")
          const redriven = store.redriveMessage(MessageId.make("m1"), MessageId.make("m4"))
          assert.strictEqual((yield* Effect.flip(redriven))._tag, "NotFound")
          assert.strictEqual((yield* Effect.flip(removal(store, "cancel")))._tag, "NotFound")
          assert.isNull(yield* store.read((reader) => reader.nextWakeAfter(0)))
        }),
      )

      story("stops an idle container, and a group of that name can be made again", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          yield* store.ingest(pair(1), reading({ acks: [ack("m1", "completed")] }))
          assert.strictEqual(yield* removal(store, "refuse"), "Removed")
          const life = yield* store.read((reader) => reader.incarnation(SESSION, 1))
          assert.deepInclude(life, { phase: "stopping", stopReason: "operator" })
          yield* store.putGroup({ ...plainGroup, createdAt: 0, revision: 1 })
          assert.strictEqual((yield* accept("m2"))._tag, "Accepted")
        }),
      )
    })

    describe("messages from outside", () => {
      const roles = { owners: ["olga"], globalAdmins: [] }
      const incoming = (id: string, text: string, more: Partial<Incoming> = {}) =>
        Result.succeed<Incoming>({
          to: { groupId: GROUP, channelType: "test", platformId: "p9" },
          newSessionId: SessionId.make(`new-${id}`),
          said: { text, userId: null },
          dueAt: null,
          ttlMs: null,
          draft: plainDraft({
            id: MessageId.make(id),
            kind: "chat",
            content: JSON.stringify({ text }),
            dueAt: 0,
          }),
          ...more,
        })
      const sent = (results: ReadonlyArray<Result.Result<Sent, Refusal>>) =>
        results.map(Result.match({ onFailure: ({ _tag }) => _tag, onSuccess: ({ _tag }) => _tag }))
      const sessionsOf = (store: SessionStore["Service"]) =>
        store.read((reader) => reader.sessions({}, { limit: 9 }).map(({ id, queued }) => [id, queued]))

      story(
        "are accepted or refused one by one, in one transaction, and a refused one leaves nothing",
        (store) =>
          Effect.gen(function* () {
            const before = yield* store.read((reader) => reader.events({}, { limit: 100 }).length)
            const invalid = Result.fail(new Invalid({ field: "content", message: "no" }))
            const results = yield* store.send(
              [
                incoming("m1", "/help", { to: { groupId: GROUP, channelType: "test", platformId: "other" } }),
                incoming("m2", "hello"),
                invalid,
                incoming("m2", "hello"),
                incoming("m2", "hello again"),
                incoming("m3", "/compact"),
                incoming("m4", "/compact", { said: { text: "/compact", userId: "olga" } }),
                incoming("m5", "one too many"),
                incoming("m6", "x", { to: { sessionId: SessionId.make("nobody") } }),
                incoming("m7", "x", { to: {} }),
              ],
              roles,
            )
            assert.deepStrictEqual(sent(results), [
              "Gated",
              "Accepted",
              "Invalid",
              "Existing",
              "Conflict",
              "Gated",
              "Accepted",
              "Full",
              "NotFound",
              "Invalid",
            ])
            assert.deepStrictEqual(yield* sessionsOf(store), [
              ["new-m2", 2],
              [SESSION, 0],
            ])
            assert.strictEqual(
              yield* store.read((reader) => reader.events({}, { limit: 100 }).length),
              before,
            )
          }),
        { maxQueuedMessages: 2 },
      )

      story("are due, and expire, by the clock of the transaction", (store) =>
        Effect.gen(function* () {
          yield* TestClock.adjust(5_000)
          yield* store.send([incoming("m1", "hello", { ttlMs: 10 })], roles)
          assert.deepInclude(yield* message("m1"), { acceptedAt: 5_000, dueAt: 5_000, expiresAt: 5_010 })
        }),
      )

      story("are gated by the group's admins as they stand then", (store) =>
        Effect.gen(function* () {
          const clear = (id: string) => incoming(id, "/clear", { said: { text: "/clear", userId: "ada" } })
          assert.deepStrictEqual(sent(yield* store.send([clear("m1")], roles)), ["Gated"])
          yield* store.putGroup({ ...plainGroup, admins: ["ada"], createdAt: 0, revision: 2 })
          assert.deepStrictEqual(sent(yield* store.send([clear("m1")], roles)), ["Accepted"])
        }),
      )
    })

    describe("system actions", () => {
      const action = (id: string, content: unknown) =>
        row(id, { kind: "system", content: JSON.stringify(content) })
      const schedule = { action: "schedule_task", taskId: "t1", prompt: "tick", recurrence: "every 5m" }
      const theirTask = {
        name: null,
        prompt: "x",
        script: null,
        schedule: { _tag: "Interval", everyMs: 60_000, anchor: 0 },
        priority: 1,
        ttlMs: null,
        channelType: null,
        platformId: null,
        threadId: null,
      } as const
      const notices = (store: SessionStore["Service"]) =>
        Effect.map(
          store.read((reader) => reader.messages({ sessionId: SESSION }, { limit: 20 })),
          (rows) => rows.filter(({ id }) => id.startsWith("notice-")).map(({ content }) => content),
        )

      story("are applied exactly once, with the row that asked for them, and never sent", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          for (let look = 0; look < 2; look++) {
            yield* store.ingest(pair(1), reading({ outbound: [action("a1", schedule)] }))
          }
          const task = yield* store.read((reader) => findOwnSeries(reader, "t1", SESSION))
          assert.deepStrictEqual([task?.status, task?.revision], ["active", 1])
          const [delivery] = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
          assert.deepStrictEqual([delivery?.status, delivery?.nextAttemptAt], ["applied", null])
          const told = yield* notices(store)
          assert.strictEqual(told.length, 1)
          assert.include(told[0], "next: 1970-01-01T00:", "the agent learns what will happen")
          assert.isNull(
            yield* store.read((reader) => reader.session(SESSION)?.wakeAt ?? null),
            "and nobody is woken for it",
          )
        }),
      )

      story("pause, resume, update and cancel the tasks of their own session", (store) =>
        Effect.gen(function* () {
          yield* accept("m1")
          yield* wake
          const task = store.read((reader) => findOwnSeries(reader, "t1", SESSION))
          const steps: ReadonlyArray<readonly [object, string]> = [
            [schedule, "active"],
            [{ action: "pause_task", taskId: "t1" }, "paused"],
            [{ action: "resume_task", taskId: "t1" }, "active"],
            [{ action: "update_task", taskId: "t1", prompt: "tock" }, "active"],
            [{ action: "cancel_task", taskId: "t1" }, "cancelled"],
          ]
          for (const [n, [step, status]] of steps.entries()) {
            yield* store.ingest(pair(1), reading({ outbound: [action(`a${n}`, step)] }))
            assert.strictEqual((yield* task)?.status, status)
          }
          assert.strictEqual((yield* task)?.prompt, "tock")
        }),
      )

      for (const [why, content] of [
        ["a task that does not exist", { action: "cancel_task", taskId: "nobody" }],
        ["a schedule that never fires", { ...schedule, recurrence: "0 0 30 2 *" }],
        ["an action that needs an operator", { action: "install_packages", packages: ["curl"] }],
        ["an action that nobody knows", { action: "create_agent", name: "x" }],
        ["a revision that somebody has changed since", { action: "update_task", taskId: "t0", revision: 9 }],
      ] as const)
        story(`${why}: refused, and the agent is told`, (store) =>
          Effect.gen(function* () {
            yield* accept("m1")
            yield* wake
            yield* store.ingest(
              pair(1),
              reading({ outbound: [action("a0", { ...schedule, taskId: "t0" }), action("a1", content)] }),
            )
            const [delivery] = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }))
            assert.strictEqual(delivery?.status, "refused")
            const refusals = (yield* notices(store)).filter((text) => text.includes("refused"))
            assert.strictEqual(refusals.length, 1)
            assert.include(refusals[0], content.action, "the notice names what was refused")
          }),
        )

      story(
        "ids that agents choose are their session's own: no other sees them, and none is taken away",
        (store) =>
          Effect.gen(function* () {
            const other = SessionId.make("s2")
            yield* store.resolveSession({
              id: other,
              groupId: GROUP,
              mode: "shared",
              address: { channelType: "test", platformId: "p2", threadId: null },
            })
            yield* store.createSeries(other, { ...theirTask, id: SeriesId.make("t1") })
            yield* accept("m1")
            yield* wake
            const asked = [
              action("a0", schedule),
              action("a1", schedule),
              action("a2", { ...schedule, taskId: "gone" }),
              action("a3", { action: "pause_task", taskId: "t1" }),
            ]
            yield* store.ingest(pair(1), reading({ outbound: asked }))
            const answers = yield* store.read((reader) => reader.deliveries({}, { limit: 10 }).toReversed())
            assert.deepStrictEqual(
              answers.map(({ status }) => String(status)),
              ["applied", "refused", "applied", "applied"],
            )
            assert.include(answers[1]?.lastError, "'t1' exists", "of its own it is told")
            const [mine, theirs] = yield* store.read((reader) => [
              findOwnSeries(reader, "t1", SESSION),
              findOwnSeries(reader, "t1", other),
            ])
            assert.deepStrictEqual([mine?.taskId, mine?.status, theirs?.id, theirs?.status].map(String), [
              "t1",
              "paused",
              "t1",
              "active",
            ])
            assert.match(String(mine?.id), new RegExp(`^task-${SESSION}-[0-9]+$`))
            // The host's id finds it, too; for an operator an agent's name does where it can mean only one task.
            yield* store.changeSeries(mine?.id ?? SeriesId.make("none"), { _tag: "Resume" })
            const found = yield* store.read((reader) =>
              ["t1", "gone"].map((id) => findSeries(reader, id)?.sessionId),
            )
            assert.deepStrictEqual(found, [other, SESSION])
            const shown = (yield* store.projection(SESSION, 1, 0)) ?? assert.fail()
            assert.deepStrictEqual(
              shown.series?.map(({ content }) => JSON.parse(content).taskId).toSorted(),
              ["gone", "t1"],
            )
          }),
      )

      story("never the tasks of another session", (store) =>
        Effect.gen(function* () {
          const other = SessionId.make("s2")
          yield* store.resolveSession({
            id: other,
            groupId: GroupId.make(GROUP),
            mode: "shared",
            address: { channelType: "test", platformId: "p2", threadId: null },
          })
          yield* store.createSeries(other, { ...theirTask, id: SeriesId.make("theirs") })
          yield* accept("m1")
          yield* wake
          yield* store.ingest(
            pair(1),
            reading({ outbound: [action("a1", { action: "cancel_task", taskId: "theirs" })] }),
          )
          const theirs = yield* store.read((reader) => reader.series(SeriesId.make("theirs")))
          assert.strictEqual(theirs?.status, "active")
        }),
      )
    })
  })
}
