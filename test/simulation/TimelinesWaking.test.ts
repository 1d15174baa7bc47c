import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { GroupId, InstallId, MessageId, SessionId } from "../../src/domain/Ids.ts"
import { healthy, neverClaims, slow } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { plainDraft } from "../../src/services/ledger/Accept.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { group, GROUP, messageOf, say, SESSION } from "../../src/testing/Timeline.ts"
import { pass, timeline } from "../support/Story.ts"

const sessionOf = (id: string, groupId: GroupId = GROUP) =>
  SessionStore.use((store) =>
    store.resolveSession({
      id: SessionId.make(id),
      groupId,
      mode: "shared",
      address: { channelType: "test", platformId: id, threadId: null },
    }),
  )

const send = (sessionId: string, id: string, more: Partial<Parameters<typeof plainDraft>[0]> = {}) =>
  SessionStore.use((store) =>
    store.accept(
      SessionId.make(sessionId),
      plainDraft({ id: MessageId.make(id), kind: "chat", content: `{"text":"${id}"}`, dueAt: 0, ...more }),
    ),
  )

/** What an older version accepted, and no request may say any more. */
const stale = [
  ["a provider that the runner does not have", { name: "shout" }, "there is no provider 'shout'"],
  ["a timeout that no timer can wait for", { timeoutMs: 2_592_000_000 }, "between 1 and 2147483647"],
] as const

describe("waking", () => {
  for (const [what, provider, why] of stale)
    it.effect(`a group stored with ${what} starts nothing, says why, and pays no try`, () =>
      timeline({ script: () => healthy() }, ({ look }) =>
        Effect.gen(function* () {
          const store = yield* SessionStore
          const operations = yield* Operations
          const engine = yield* SimulatedEngine
          const [stored] = yield* operations.groups()
          assert.isDefined(stored)
          yield* store.putGroup({
            ...stored,
            provider: { ...stored.provider, ...provider },
            revision: stored.revision + 1,
          })
          yield* say(look, "m1", 0)
          yield* pass(1)
          assert.strictEqual(engine.starts(), 0)
          assert.include((yield* operations.session({ id: SESSION })).session.wakeError, why)
          assert.strictEqual((yield* messageOf("m1")).tries, 0)
        }),
      ),
    )

  it.effect("an operator's wake of a session that runs already changes nothing", () =>
    timeline({ script: () => slow({ workMs: 60_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        const operations = yield* Operations
        const engine = yield* SimulatedEngine
        yield* say(look, "m1", 0)
        yield* pass(0.25)
        yield* operations.controlSession({ id: SESSION, what: "wake" })
        yield* operations.controlSession({ id: SESSION, what: "wake" })
        yield* pass(2)
        assert.strictEqual((yield* operations.session({ id: SESSION })).session.status, "active")
        assert.strictEqual(engine.starts(SESSION), 1)
        assert.strictEqual((yield* messageOf("m1")).state, "completed")
      }),
    ),
  )

  it.effect("passes that follow each other at once start no more containers than the cap", () =>
    timeline({ script: () => slow({ workMs: 600_000 }), policy: { maxContainersPerGroup: 2 } }, () =>
      Effect.gen(function* () {
        const engine = yield* SimulatedEngine
        const sweep = yield* Sweep
        for (let n = 0; n < 8; n++) {
          yield* sessionOf(`c${n}`)
          yield* send(`c${n}`, `m${n}`)
        }
        for (let n = 0; n < 5; n++) yield* sweep.pass
        yield* pass(1)
        assert.strictEqual(engine.starts(), 2)
      }),
    ),
  )

  it.effect("a group at its cap holds up nobody else, however many of its sessions wait", () =>
    timeline({ script: () => slow({ workMs: 600_000 }), policy: { maxContainersPerGroup: 1 } }, ({ look }) =>
      Effect.gen(function* () {
        const operations = yield* Operations
        const other = GroupId.make("g2")
        yield* operations.addGroup({ ...group, id: other, name: "g2" })
        for (let n = 0; n < 450; n++) {
          yield* sessionOf(`c${n}`)
          yield* send(`c${n}`, `m${n}`)
        }
        yield* sessionOf("patient", other)
        yield* pass(0.1)
        yield* send("patient", "late", { dueAt: 1_000 })
        yield* look.ring
        yield* pass(0.5)
        const engine = yield* SimulatedEngine
        assert.strictEqual(engine.starts(SessionId.make("patient")), 1)
        assert.strictEqual(engine.running(), 2)
      }),
    ),
  )

  it.effect("many greetings for the next wake do not hide what is due now", () =>
    timeline({ script: () => healthy({ workMs: 1_000 }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(0.25)
        for (let n = 0; n < 150; n++) yield* send(SESSION, `greeting-${n}`, { onWake: true })
        yield* say(look, "m2", 1_000)
        yield* pass(0.5)
        assert.strictEqual((yield* messageOf("m2")).state, "completed")
        assert.strictEqual((yield* messageOf("greeting-0")).state, "pending")
      }),
    ),
  )

  it.effect("a name that an older container holds is freed, and the wake after it works", () =>
    timeline(
      { script: (_, launch) => (launch === 1 ? neverClaims() : healthy({ workMs: 1_000 })) },
      ({ look }) =>
        Effect.gen(function* () {
          const engine = yield* SimulatedEngine
          yield* engine.bearUnrecorded({
            labels: { install: InstallId.make("timeline1"), group: GROUP, session: SESSION, incarnation: 0 },
            name: `lamplighter-timeline1-${SESSION}`,
            inDir: "/in",
            outDir: "/out",
            groupDir: "/group",
            globalDir: "/global",
            containerJson: "/group/container.json",
            env: {},
            image: null,
            graceMs: 1_000,
          })
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          const message = yield* messageOf("m1")
          assert.deepStrictEqual([message.state, message.tries], ["completed", 0])
          assert.strictEqual(engine.running(), 1)
          assert.strictEqual(engine.maximumLivePerSession(), 1)
        }),
    ),
  )
})
