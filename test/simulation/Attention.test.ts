/** What the sweep looks at: what changed, what the ledger's commits name, and what has an instant of its own; and whom nothing keeps waiting. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { InstallId, SessionId } from "../../src/domain/Ids.ts"
import { HOUR_MS, MINUTE_MS } from "../../src/domain/Instant.ts"
import { healthy, slow, toolSilent } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { GROUP, messageOf, say, SESSION } from "../../src/testing/Timeline.ts"
import { pass, timeline } from "../support/Story.ts"

let listed = 0

const lastLife = Effect.gen(function* () {
  const [life] = (yield* (yield* Operations).session({ id: SESSION })).incarnations
  return life
})

const otherSession = (id: string) =>
  SessionStore.use((store) =>
    store.resolveSession({
      id: SessionId.make(id),
      groupId: GROUP,
      mode: "shared",
      address: { channelType: "test", platformId: id, threadId: null },
    }),
  )

describe("the sweep's attention", () => {
  it.effect("a group's ceiling that is shortened while an agent hangs counts at once", () =>
    timeline({ script: () => toolSilent({ declaredMs: null, workMs: 10 * HOUR_MS }) }, ({ look }) =>
      Effect.gen(function* () {
        const operations = yield* Operations
        yield* say(look, "m1", 0)
        yield* pass(5)
        assert.strictEqual((yield* lastLife)?.phase, "running")
        yield* operations.updateGroup({ id: GROUP, policy: { ceilingMs: MINUTE_MS } })
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* lastLife)?.stopReason, "ceiling")
      }),
    ),
  )

  it.effect("a message for a session that runs is shown to it without waiting for the poll", () =>
    timeline({ script: () => slow({ workMs: 1_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        yield* TestClock.adjust("100 millis")
        yield* say(look, "m2", 0)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* messageOf("m2")).admittedIn, 1)
      }),
    ),
  )
})

describe("an engine that hangs", () => {
  it.effect("over one container's signal or over its list keeps no other session waiting", () =>
    timeline(
      {
        script: () => slow({ workMs: HOUR_MS }),
        runtime: (runtime) => ({
          ...runtime,
          stop: (ref) => (ref.labels.session === SESSION ? Effect.never : runtime.stop(ref)),
          kill: (ref) => (ref.labels.session === SESSION ? Effect.never : runtime.kill(ref)),
          list: Effect.suspend(() => (listed++ === 0 ? runtime.list : Effect.never)),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          const operations = yield* Operations
          const engine = yield* SimulatedEngine
          const store = yield* SessionStore
          const { id } = yield* otherSession("other")
          yield* say(look, "m1", 0)
          yield* operations.controlSession({ id, what: "wake" })
          yield* pass(2)
          yield* operations.controlSession({ id: SESSION, what: "hold" })
          yield* operations.controlSession({ id, what: "hold" })
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(engine.running(id), 0)
          assert.strictEqual((yield* operations.session({ id })).incarnations[0]?.reason, "operator")
          assert.strictEqual((yield* lastLife)?.phase, "stopping")
          yield* operations.controlSession({ id, what: "release" })
          yield* operations.controlSession({ id, what: "wake" })
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(engine.running(id), 1)
          assert.strictEqual(store.trouble.current(), null)
        }),
    ),
  )
})

describe("an operator's wake", () => {
  it.effect("is refused where the caps leave no room, and forced on request", () =>
    timeline({ script: () => slow({ workMs: HOUR_MS }), policy: { maxContainersPerGroup: 1 } }, ({ look }) =>
      Effect.gen(function* () {
        const operations = yield* Operations
        const engine = yield* SimulatedEngine
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        const { id } = yield* otherSession("other")
        const refused = yield* Effect.flip(operations.controlSession({ id, what: "wake" }))
        assert.include(refused.message, "maxContainersPerGroup")
        assert.include(refused.message, `session wake ${id} --force`)
        yield* pass(0.5)
        assert.strictEqual(engine.starts(id), 0)
        yield* operations.controlSession({ id, what: "wake", force: true })
        yield* pass(0.5)
        assert.strictEqual(engine.starts(id), 1)
      }),
    ),
  )
})

describe("a ledger that came here in a backup", () => {
  it.effect("ends a life of the other host as lost, at no cost, and its session goes on", () =>
    timeline({ script: () => healthy() }, ({ look }) =>
      Effect.gen(function* () {
        const store = yield* SessionStore
        yield* store.beginIncarnation(SESSION, "operator", "boot-there", InstallId.make("elsewhere1"))
        yield* store.markStarted(SESSION, 1, "{}")
        yield* say(look, "m1", 0)
        yield* pass(3)
        const message = yield* messageOf("m1")
        assert.strictEqual(message.state, "completed")
        assert.strictEqual(message.tries, 0)
        const lives = (yield* (yield* Operations).session({ id: SESSION })).incarnations
        assert.strictEqual(lives.at(-1)?.reason, "lost")
        assert.strictEqual((yield* (yield* Operations).session({ id: SESSION })).session.status, "active")
      }),
    ),
  )
})
