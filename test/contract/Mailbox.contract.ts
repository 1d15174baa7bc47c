/** What every mailbox keeps: pairs made once, projections by revision, one snapshot of what a container wrote. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { GroupId, IncarnationNumber, MessageId, OutboundId, SessionId } from "../../src/domain/Ids.ts"
import type { Message } from "../../src/domain/Message.ts"
import {
  type Carryover,
  type Glance,
  Mailbox,
  type Pair,
  type Projection,
} from "../../src/services/Mailbox.ts"
import { aMessage } from "../support/Rows.ts"

/** The container's side of one pair, whatever it is made of. */
export interface ContainerHand {
  readonly ack: (
    pair: Pair,
    messageId: string,
    status: "processing" | "completed" | "failed",
    at?: number,
  ) => Effect.Effect<void>
  readonly unack: (pair: Pair, messageId: string) => Effect.Effect<void>
  readonly write: (pair: Pair, id: string, text: string) => Effect.Effect<void>
  readonly setTool: (pair: Pair, tool: string, declaredTimeoutMs: number) => Effect.Effect<void>
  readonly setState: (pair: Pair, key: string, value: string) => Effect.Effect<void>
  readonly beat: (pair: Pair, at: number) => Effect.Effect<void>
  /** What it sees of messages_in: id and status, by seq. */
  readonly inbound: (pair: Pair) => Effect.Effect<ReadonlyArray<readonly [id: string, status: string]>>
  /** Rows of messages_in that may be taken whatever its clock shows: previews are none. */
  readonly takeable: (pair: Pair) => Effect.Effect<ReadonlyArray<string>>
  /** Its own session_state and messages_out as it finds them. */
  readonly carried: (
    pair: Pair,
  ) => Effect.Effect<{ readonly state: ReadonlyArray<string>; readonly rows: ReadonlyArray<string> }>
}

export const pairOf = (incarnation: number, session = "s1"): Pair => ({
  groupId: GroupId.make("g1"),
  sessionId: SessionId.make(session),
  incarnation: IncarnationNumber.make(incarnation),
})

export const nothingCarried: Carryover = { sessionState: [], outbound: [], createdAt: 0 }

export const projection = (
  revision: number,
  messages: ReadonlyArray<readonly [Partial<Message>, Projection["messages"][number]["status"]]>,
  more: Partial<Projection> = {},
): Projection => ({
  revision,
  messages: messages.map(([message, status]) => ({ message: aMessage(message), status })),
  delivered: [],
  series: null,
  destinations: null,
  routing: null,
  ...more,
})

const carriedRow: Carryover["outbound"][number] = {
  id: OutboundId.make("o7"),
  seq: 7,
  inReplyTo: null,
  timestampMs: 1_000,
  kind: "chat",
  channelType: null,
  platformId: null,
  threadId: null,
  content: `{"text":"before"}`,
}

/** A glance that told something. */
export const glanced = (mailbox: Mailbox["Service"], pair: Pair): Glance => {
  const glance = mailbox.glance(pair)
  if (glance._tag !== "Glance") throw glance
  return glance
}

const live = { seen: new Set<string>(), mode: "live" } as const

export const mailboxContract = <R>(
  name: string,
  world: Layer.Layer<Mailbox | R>,
  hand: Effect.Effect<ContainerHand, never, Mailbox | R>,
): void => {
  const story = <A, E>(
    title: string,
    tell: (mailbox: Mailbox["Service"], container: ContainerHand) => Effect.Effect<A, E, Mailbox>,
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        return yield* tell(yield* Mailbox, yield* hand)
      }).pipe(Effect.provide(world)),
    )

  describe(`a mailbox ${name}`, () => {
    story("makes a pair once: it is empty, at revision 0, and a second of its name is refused", (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.create(pairOf(1), nothingCarried)
        assert.strictEqual(yield* mailbox.revision(pairOf(1)), 0)
        const reading = yield* mailbox.read(pairOf(1), live)
        assert.deepStrictEqual([reading.acks, reading.outbound, reading.tool], [[], [], null])
        const again = yield* Effect.flip(mailbox.create(pairOf(1), nothingCarried))
        assert.strictEqual(again._tag, "MailboxError")
      }),
    )

    story("carries state and the last rows over, which the container finds", (mailbox, container) =>
      Effect.gen(function* () {
        yield* mailbox.create(pairOf(2), {
          sessionState: [{ key: "thread", value: "abc" }],
          outbound: [carriedRow],
          createdAt: 2_000,
        })
        assert.deepStrictEqual(yield* container.carried(pairOf(2)), { state: ["thread=abc"], rows: ["o7/7"] })
        const reading = yield* mailbox.read(pairOf(2), { seen: new Set(["o7"]), mode: "live" })
        assert.deepStrictEqual(reading.sessionState, [{ key: "thread", value: "abc" }])
        assert.deepStrictEqual(reading.outbound, [])
      }),
    )

    story(
      "projects once per revision: what is behind is brought up, what is at or past it is left alone",
      (mailbox, container) =>
        Effect.gen(function* () {
          const pair = pairOf(1)
          yield* mailbox.create(pair, nothingCarried)
          const first = { id: MessageId.make("m1"), seq: 2 }
          const second = { id: MessageId.make("m2"), seq: 4 }
          yield* mailbox.project(pair, projection(3, [[first, "pending"]]))
          yield* mailbox.project(
            pair,
            projection(5, [
              [first, "completed"],
              [second, "pending"],
            ]),
          )
          yield* mailbox.project(pair, projection(5, [[second, "failed"]]))
          yield* mailbox.project(pair, projection(4, [[second, "failed"]]))
          assert.strictEqual(yield* mailbox.revision(pair), 5)
          assert.deepStrictEqual(yield* container.inbound(pair), [
            ["m1", "completed"],
            ["m2", "pending"],
          ])
        }),
    )

    story(
      "shows what is due without a time, so that a clock that lags holds nothing back",
      (mailbox, container) =>
        Effect.gen(function* () {
          const pair = pairOf(1)
          const hourAhead = Date.now() + 3_600_000
          yield* mailbox.create(pair, nothingCarried)
          yield* mailbox.project(
            pair,
            projection(1, [
              [{ id: MessageId.make("past"), seq: 2, dueAt: 1_000 }, "pending"],
              [{ id: MessageId.make("now"), seq: 4, dueAt: Date.now() }, "pending"],
              [{ id: MessageId.make("later"), seq: 6, dueAt: hourAhead }, "pending"],
            ]),
          )
          assert.deepStrictEqual(yield* container.takeable(pair), ["past", "now"])
        }),
    )

    story("shows a series as a preview, and one that is gone as completed", (mailbox, container) =>
      Effect.gen(function* () {
        const pair = pairOf(1)
        const preview = {
          id: "t1",
          seq: 2,
          status: "pending" as const,
          nextSlotText: "2026-12-01T09:00:00+01:00[Europe/Paris]",
          recurrence: "0 9 * * *",
          content: `{"prompt":"tick"}`,
          channelType: null,
          platformId: null,
          threadId: null,
        }
        yield* mailbox.create(pair, nothingCarried)
        yield* mailbox.project(pair, projection(1, [], { series: [preview] }))
        assert.deepStrictEqual(yield* container.inbound(pair), [["t1", "pending"]])
        const paused = { ...preview, status: "paused" as const }
        yield* mailbox.project(pair, projection(2, [], { series: [paused] }))
        assert.deepStrictEqual(yield* container.inbound(pair), [["t1", "paused"]])
        yield* mailbox.project(pair, projection(3, [], { series: [] }))
        assert.deepStrictEqual(yield* container.inbound(pair), [["t1", "completed"]])
      }),
    )

    story(
      "reads acks whole, new rows by seq, the tool in flight and the state, in one snapshot",
      (mailbox, container) =>
        Effect.gen(function* () {
          const pair = pairOf(1)
          yield* mailbox.create(pair, nothingCarried)
          yield* container.ack(pair, "m1", "completed")
          yield* container.ack(pair, "m2", "processing")
          yield* container.write(pair, "o1", "one")
          yield* container.write(pair, "o2", "two")
          yield* container.setTool(pair, "Bash", 60_000)
          yield* container.setState(pair, "k", "v")
          const reading = yield* mailbox.read(pair, { seen: new Set(["o1"]), mode: "live" })
          assert.deepStrictEqual(
            reading.acks.map(({ messageId, status }) => [messageId, status]).toSorted(),
            [
              ["m1", "completed"],
              ["m2", "processing"],
            ],
          )
          assert.deepStrictEqual(
            reading.outbound.map(({ id, content, seq }) => [id, content, (seq ?? 0) % 2]),
            [["o2", `{"text":"two"}`, 1]],
          )
          assert.deepInclude(reading.tool, { tool: "Bash", declaredTimeoutMs: 60_000 })
          assert.deepStrictEqual(reading.sessionState, [{ key: "k", value: "v" }])
          assert.deepStrictEqual([reading.rejected, reading.outgrown], [[], false])
          yield* container.unack(pair, "m2")
          const later = yield* mailbox.read(pair, live)
          assert.deepStrictEqual(
            later.acks.map(({ messageId }) => messageId),
            ["m1"],
          )
        }),
    )

    story(
      "glances without reading: the stamp stays until something is written, the heartbeat is told",
      (mailbox, container) =>
        Effect.gen(function* () {
          const pair = pairOf(1)
          yield* mailbox.create(pair, nothingCarried)
          assert.isNull(glanced(mailbox, pair).heartbeatMtime)
          yield* container.beat(pair, 1_700_000_000_000)
          assert.strictEqual(glanced(mailbox, pair).heartbeatMtime, 1_700_000_000_000)
          const before = glanced(mailbox, pair)
          yield* container.write(pair, "o1", "one")
          assert.notStrictEqual(glanced(mailbox, pair).stamp, before.stamp)
        }),
    )

    story(
      "tells the newest instant that the container wrote, and none that the host carried over",
      (mailbox, container) =>
        Effect.gen(function* () {
          const pair = pairOf(1)
          yield* mailbox.create(pair, {
            sessionState: [{ key: "k", value: "v" }],
            outbound: [carriedRow],
            createdAt: 9_000,
          })
          const newest = Effect.map(
            mailbox.read(pair, { seen: new Set([carriedRow.id]), mode: "live" }),
            ({ newestAt }) => newestAt,
          )
          assert.isNull(yield* newest)
          yield* container.ack(pair, "m1", "completed", 3_000)
          yield* container.ack(pair, "m2", "processing", 2_000)
          assert.strictEqual(yield* newest, 3_000)
        }),
    )

    story("removes the pairs below a number and no other", (mailbox) =>
      Effect.gen(function* () {
        for (const n of [1, 2, 3]) yield* mailbox.create(pairOf(n), nothingCarried)
        yield* mailbox.create(pairOf(1, "other"), nothingCarried)
        yield* mailbox.removeBelow(pairOf(3), IncarnationNumber.make(3))
        assert.strictEqual(yield* mailbox.revision(pairOf(3)), 0)
        assert.strictEqual(yield* mailbox.revision(pairOf(1, "other")), 0)
        assert.strictEqual((yield* Effect.flip(mailbox.revision(pairOf(2))))._tag, "MailboxError")
      }),
    )
  })
}
