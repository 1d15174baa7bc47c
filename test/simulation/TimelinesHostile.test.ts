import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { IncarnationNumber } from "../../src/domain/Ids.ts"
import { ContainerSide } from "../../src/layers/memory/MemoryMailbox.ts"
import { healthy, ignoresSigterm, silentAfterClaim } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { GROUP, messageOf, say, SESSION } from "../../src/testing/Timeline.ts"
import { pass, timeline } from "../support/Story.ts"

const life = (incarnation: number) => ({
  groupId: GROUP,
  sessionId: SESSION,
  incarnation: IncarnationNumber.make(incarnation),
})

const eventsOf = (type: string) =>
  SessionStore.use((store) =>
    Effect.map(
      store.read((reader) => reader.events({ sessionId: SESSION }, { limit: 10_000 })),
      (events) => events.filter((event) => event.type === type),
    ),
  )

describe("a container whose files can't be trusted", () => {
  for (const fault of ["quarantined", "defect"] as const)
    it.effect(`is killed when it ignores SIGTERM, and its session is reported once (${fault})`, () =>
      timeline({ script: () => ignoresSigterm({ workMs: 3_600_000 }) }, ({ look }) =>
        Effect.gen(function* () {
          const engine = yield* SimulatedEngine
          const side = yield* ContainerSide
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          yield* side.setFault(life(1), fault)
          yield* pass(2)
          assert.strictEqual(engine.running(), 0, "SIGKILL after the grace")
          assert.strictEqual((yield* messageOf("m1")).tries, 0)
          assert.isAtMost((yield* eventsOf("quarantined")).length, 2, "once while it ran, once at its end")
          const operations = yield* Operations
          assert.strictEqual((yield* operations.session({ id: SESSION })).session.status, "quarantined")
        }),
      ),
    )

  it.effect("that can't be read is not judged unseen, is stopped after five minutes, and pays nothing", () =>
    timeline({ script: () => silentAfterClaim() }, ({ look }) =>
      Effect.gen(function* () {
        const engine = yield* SimulatedEngine
        const side = yield* ContainerSide
        const store = yield* SessionStore
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        yield* side.setFault(life(1), "unreadable")
        yield* pass(5)
        assert.strictEqual(engine.running(), 1)
        assert.isNull((yield* store.read((reader) => reader.incarnation(SESSION, 1)))?.stopReason)
        yield* pass(1)
        assert.strictEqual(engine.running(), 0)
        const life1 = yield* store.read((reader) => reader.incarnation(SESSION, 1))
        assert.strictEqual(life1?.stopReason, "projection-blocked")
        assert.strictEqual((yield* messageOf("m1")).tries, 0)
        // Whether the host or the file is to blame, nobody knows yet: it waits, and starts no other container meanwhile.
        const status = Effect.map(
          store.read((reader) => reader.session(SESSION)),
          (session) => session?.status,
        )
        assert.strictEqual(yield* status, "active")
        yield* pass(1.5)
        assert.strictEqual(engine.running(), 0)
        assert.strictEqual(yield* status, "quarantined")
      }),
    ),
  )

  it.effect("that can't be read for a moment loses nothing", () =>
    timeline({ script: () => healthy({ workMs: 20_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        const side = yield* ContainerSide
        yield* say(look, "m1", 0)
        yield* pass(0.25)
        yield* side.setFault(life(1), "unreadable")
        yield* pass(0.5)
        yield* side.setFault(life(1), "none")
        yield* pass(0.5)
        const message = yield* messageOf("m1")
        assert.deepStrictEqual([message.state, message.tries, message.attempts], ["completed", 0, 1])
      }),
    ),
  )

  it.effect("keeps what its session remembered when its last files are given up", () =>
    timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        const side = yield* ContainerSide
        const store = yield* SessionStore
        const operations = yield* Operations
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        yield* side.setState(life(1), "conversation", "c1")
        yield* pass(7)
        assert.strictEqual((yield* store.read((reader) => reader.session(SESSION)))?.live, false)
        yield* say(look, "m2", 0)
        yield* pass(0.5)
        yield* side.setFault(life(2), "quarantined")
        yield* pass(1)
        yield* operations.controlSession({ id: SESSION, what: "release" })
        yield* pass(1)
        assert.deepStrictEqual(yield* store.read((reader) => reader.sessionState(SESSION)), [
          { key: "conversation", value: "c1" },
        ])
      }),
    ),
  )
})
