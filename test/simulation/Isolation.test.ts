import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { GroupId, IncarnationNumber, MessageId, OutboundId, SessionId } from "../../src/domain/Ids.ts"
import { MemoryChannels } from "../../src/layers/memory/MemoryChannels.ts"
import { ContainerSide } from "../../src/layers/memory/MemoryMailbox.ts"
import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import { crashesMidMessage, healthy, silentAfterClaim } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { LedgerDriver, type LedgerReader } from "../../src/services/LedgerDriver.ts"
import { plainDraft } from "../../src/services/ledger/Accept.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { GROUP, messageOf, say, SESSION } from "../../src/testing/Timeline.ts"
import { pass, timeline } from "../support/Story.ts"

const OTHER = SessionId.make("s2")

const otherSession = (id: SessionId) =>
  SessionStore.use((store) =>
    store.resolveSession({
      id,
      groupId: GROUP,
      mode: "shared",
      address: { channelType: "test", platformId: id, threadId: null },
    }),
  )

const tell = (id: SessionId, message: string, dueAt: number) =>
  SessionStore.use((store) =>
    store.accept(
      id,
      plainDraft({ id: MessageId.make(message), kind: "chat", content: `{"text":"${message}"}`, dueAt }),
    ),
  )

const lastRow = (text: string) => ({ id: OutboundId.make("last-row"), content: JSON.stringify({ text }) })

const firstPair = { groupId: GROUP, sessionId: SESSION, incarnation: IncarnationNumber.make(1) }

describe("one session's trouble", () => {
  it.effect(
    "a session whose files are not what the host made is set aside with the reason, and the others go on",
    () =>
      timeline({ script: () => healthy({ workMs: 20_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          yield* otherSession(OTHER)
          yield* say(look, "m1", 0)
          yield* tell(OTHER, "m2", 0)
          yield* look.ring
          yield* pass(0.1)
          const side = yield* ContainerSide
          yield* side.setFault(firstPair, "quarantined")
          yield* pass(2)
          const operations = yield* Operations
          const { session } = yield* operations.session({ id: SESSION })
          assert.strictEqual(session.status, "quarantined")
          assert.isNotNull(session.statusReason)
          assert.strictEqual((yield* messageOf("m2")).state, "completed")
          assert.strictEqual((yield* messageOf("m1")).tries, 0)
          const status = yield* operations.status()
          assert.deepStrictEqual(
            status.quarantined.map(({ id }) => id),
            [SESSION],
          )
        }),
      ),
  )

  it.effect(
    "a defect in the code that looks at one session sets that session aside, and the daemon goes on",
    () =>
      timeline({ script: () => healthy({ workMs: 20_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          yield* otherSession(OTHER)
          yield* say(look, "m1", 0)
          yield* tell(OTHER, "m2", 0)
          yield* look.ring
          yield* pass(0.1)
          const side = yield* ContainerSide
          yield* side.setFault(firstPair, "defect")
          yield* pass(1)
          const operations = yield* Operations
          const { session } = yield* operations.session({ id: SESSION })
          assert.strictEqual(session.status, "quarantined")
          assert.include(session.statusReason, "a defect in the code that reads this pair")
          // Set aside by the look that met the defect, before the last reading meets it again.
          const events = yield* operations.events({ sessionId: SESSION, limit: 100 })
          const told = events.filter(({ text, type }) => type === "quarantined" && text.includes("a defect"))
          assert.strictEqual(told[0]?.text, "a defect in the code that reads this pair")
          assert.strictEqual((yield* messageOf("m2")).state, "completed")
          assert.strictEqual((yield* messageOf("m1")).tries, 0)
        }),
      ),
  )

  it.effect("its last rows stay its own: a release has them read once more, and then it works again", () =>
    timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        const operations = yield* Operations
        const side = yield* ContainerSide
        const channels = yield* MemoryChannels
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        assert.strictEqual((yield* messageOf("m1")).state, "completed")
        // It writes one more row, and then its files can't be read, not even at its death.
        yield* side.write(firstPair, lastRow("the last word"), 30_000)
        yield* side.setFault(firstPair, "quarantined")
        yield* pass(1)
        assert.strictEqual((yield* operations.session({ id: SESSION })).session.status, "quarantined")
        yield* say(look, "m2", 60_000)
        yield* pass(2)
        assert.strictEqual(
          (yield* messageOf("m2")).state,
          "pending",
          "nothing wakes a session that is set aside",
        )
        assert.strictEqual((yield* channels.sends).length, 1)
        yield* side.setFault(firstPair, "none")
        yield* operations.controlSession({ id: SESSION, what: "release" })
        yield* pass(1)
        const texts = (yield* channels.sends).map(({ delivery }) => delivery.content)
        assert.include(texts.join(), "the last word")
        assert.strictEqual((yield* messageOf("m2")).state, "completed")
        assert.strictEqual((yield* messageOf("m2")).tries, 0)
      }),
    ),
  )

  it.effect(
    "a release that still can't read them gives the last rows up, says so, and lets the session work",
    () =>
      timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          const operations = yield* Operations
          const side = yield* ContainerSide
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          yield* side.setFault(firstPair, "quarantined")
          yield* side.write(firstPair, lastRow("never seen"), 30_000)
          yield* pass(1)
          yield* say(look, "m2", 60_000)
          yield* operations.controlSession({ id: SESSION, what: "release" })
          yield* pass(1)
          assert.strictEqual((yield* messageOf("m2")).state, "completed")
          assert.strictEqual((yield* operations.session({ id: SESSION })).session.status, "active")
        }),
      ),
  )

  it.effect(
    "a channel that refuses twelve times ends that delivery, with the reason, and the next one goes",
    () =>
      timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          const channels = yield* MemoryChannels
          yield* channels.decideWith((delivery) =>
            delivery.content.includes("m1") ? { _tag: "Transient", message: "not today" } : undefined,
          )
          yield* say(look, "m1", 0)
          yield* say(look, "m2", 30_000)
          yield* pass(90)
          const operations = yield* Operations
          const [dead] = yield* operations.deliveries({ status: "dead" })
          assert.strictEqual(dead?.attempts, 12)
          assert.include(dead?.lastError, "not today")
          const [delivered] = yield* operations.deliveries({ status: "delivered" })
          assert.include(delivered?.content, "m2")
          const order = (yield* channels.sends).map(({ delivery }) => delivery.content.includes("m1"))
          assert.deepStrictEqual(order, [...Array.from({ length: 12 }, () => true), false])
        }),
      ),
  )

  it.effect("neighbours of a poison message in its batch pay at most one try", () =>
    timeline(
      { script: () => crashesMidMessage({ poison: ({ id }) => id === "poison", workMs: 500 }) },
      ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "poison", 0)
          for (const id of ["a", "b", "c"]) yield* say(look, id, 0)
          yield* pass(10)
          for (const id of ["a", "b", "c"]) {
            const neighbour = yield* messageOf(id)
            assert.strictEqual(neighbour.state, "completed")
            assert.isAtMost(neighbour.tries, 1)
          }
          const poison = yield* messageOf("poison")
          assert.deepStrictEqual([poison.state, poison.tries, poison.attempts], ["failed", 6, 6])
        }),
    ),
  )
})

/** Counts what is asked of a ledger, question by question. */
const counting = () => {
  const asked = new Map<string, number>()
  const count = (reader: LedgerReader): LedgerReader =>
    new Proxy(reader, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name)
        if (typeof found !== "function") return found
        return (...words: ReadonlyArray<unknown>) => {
          asked.set(String(name), (asked.get(String(name)) ?? 0) + 1)
          return Reflect.apply(found, target, words)
        }
      },
    })
  const layer = Layer.sync(LedgerDriver, () => {
    const driver = MemoryLedger.make()
    return LedgerDriver.of({
      ...driver,
      read: (f) => driver.read((reader) => f(count(reader))),
      transaction: (f) => driver.transaction((tx) => f(count(tx) as typeof tx)),
    })
  })
  return { asked, layer }
}

const askedByPass = (sessions: number) => {
  const { asked, layer } = counting()
  return timeline({ script: () => healthy({ workMs: 1_000 }), ledger: layer }, () =>
    Effect.gen(function* () {
      for (let n = 0; n < sessions; n++) yield* otherSession(SessionId.make(`idle-${n}`))
      const sweep = yield* Sweep
      yield* sweep.pass
      asked.clear()
      yield* sweep.pass
      return Object.fromEntries(asked)
    }),
  )
}

describe("an engine that hangs", () => {
  it.effect("is asked to stop all that are stuck side by side, and keeps nobody else waiting", () => {
    const asked = new Set<SessionId>()
    const stuck = ["s1", "s3", "s4", "s5"].map((id) => SessionId.make(id))
    return timeline(
      {
        script: ({ labels }) =>
          stuck.includes(labels.session) ? silentAfterClaim() : healthy({ workMs: 1_000 }),
        runtime: (runtime) => ({
          ...runtime,
          stop: (ref) =>
            ref.labels !== null && stuck.includes(ref.labels.session) && asked.size < stuck.length
              ? Effect.andThen(
                  Effect.sync(() => asked.add(ref.labels.session)),
                  Effect.never,
                )
              : runtime.stop(ref),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          for (const id of stuck.slice(1)) yield* otherSession(id)
          yield* otherSession(OTHER)
          for (const [n, id] of stuck.entries()) yield* tell(id, `stuck${n}`, 0)
          yield* look.ring
          yield* pass(1.25)
          assert.deepStrictEqual([...asked].toSorted(), stuck, "no hanging call kept another from being made")
          yield* tell(OTHER, "m2", 0)
          yield* look.ring
          yield* pass(0.25)
          assert.strictEqual((yield* messageOf("m2")).state, "completed")
        }),
    )
  })
})

describe("many idle sessions", () => {
  it.effect("a pass with nothing due asks the same few questions at ten sessions and at ten thousand", () =>
    Effect.gen(function* () {
      const few = yield* askedByPass(10)
      const many = yield* askedByPass(10_000)
      assert.deepStrictEqual(many, few)
      assert.notProperty(many, "session", "no idle session is touched")
      assert.isAtMost(
        Object.values(many).reduce((sum, times) => sum + times, 0),
        20,
      )
    }),
  )
})

describe("the daemon's zone", () => {
  it.effect("is explicit in its tasks", () =>
    timeline({ script: () => healthy({ workMs: 1_000 }), zone: "Asia/Tokyo" }, () =>
      Effect.gen(function* () {
        const operations = yield* Operations
        const tokyo = yield* operations.addTask({
          groupId: GroupId.make(GROUP),
          sessionId: SESSION,
          name: null,
          prompt: "good morning",
          script: null,
          schedule: "0 9 * * *",
          zone: null,
          ttlMs: null,
        })
        assert.strictEqual(tokyo.zone, "Asia/Tokyo")
        assert.strictEqual(
          new Date(tokyo.nextSlot ?? 0).toISOString(),
          "1970-01-01T00:00:00.000Z",
          "nine in the morning there",
        )
      }),
    ),
  )
})

describe("a start that nobody can vouch for", () => {
  for (const truth of ["created", "not-created"] as const)
    it.effect(`is settled by a listing at once: the container was ${truth}`, () =>
      timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          const engine = yield* SimulatedEngine
          yield* engine.nextStartIsAmbiguous(truth)
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          const message = yield* messageOf("m1")
          assert.deepStrictEqual([message.state, message.tries], ["completed", 0])
          const store = yield* SessionStore
          const lives = yield* store.read((reader) => reader.incarnations(SESSION, { limit: 10 }))
          assert.strictEqual(lives.length, truth === "created" ? 1 : 2)
          assert.strictEqual((yield* store.read((reader) => reader.liveIncarnations())).length, 1)
        }),
      ),
    )
})
