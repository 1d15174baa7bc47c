/** Ten thousand sessions that sleep cost a pass as much as none: what is due is found by index, not by asking each. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { SessionId } from "../../src/domain/Ids.ts"
import { healthy } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { LedgerDriver, type LedgerReader } from "../../src/services/LedgerDriver.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import {
  GROUP,
  makeNudges,
  messageOf,
  say,
  servicesLayer,
  setUp,
  worldLayer,
} from "../../src/testing/Timeline.ts"

const SLEEPERS = 10_000

/** The ledger on SQLite, with a count of what is asked of it. */
const countedLedger = (asked: Map<string, number>) => {
  const counted = (reader: LedgerReader): LedgerReader =>
    new Proxy(reader, {
      get: (target, name, self) => {
        const member: unknown = Reflect.get(target, name, self)
        if (typeof member !== "function") return member
        return (...given: ReadonlyArray<unknown>): unknown => {
          asked.set(String(name), (asked.get(String(name)) ?? 0) + 1)
          return Reflect.apply(member, target, given)
        }
      },
    })
  return Layer.effect(
    LedgerDriver,
    Effect.map(LedgerDriver, (driver) =>
      LedgerDriver.of({ ...driver, read: (ask) => driver.read((reader) => ask(counted(reader))) }),
    ),
  ).pipe(Layer.provide(SqliteLedger.layerMemory))
}

describe("a pass over sessions of which none has anything due", () => {
  it.effect(
    "asks the indexes as often for ten thousand as for one, and never for a session",
    () => {
      const asked = new Map<string, number>()
      const options = { script: () => healthy(), ledger: countedLedger(asked) }
      return Effect.gen(function* () {
        const nudges = yield* makeNudges
        yield* Effect.gen(function* () {
          const store = yield* SessionStore
          const sweep = yield* Sweep
          yield* setUp
          yield* sweep.recover
          // The first pass of a daemon compares the clocks with those of the daemon before.
          yield* sweep.pass
          asked.clear()
          yield* sweep.pass
          const ofOne = new Map(asked)
          for (let n = 0; n < SLEEPERS; n++) {
            yield* store.resolveSession({
              id: SessionId.make(`sleeper-${n}`),
              groupId: GROUP,
              mode: "shared",
              address: { channelType: "test", platformId: `p-${n}`, threadId: null },
            })
          }
          asked.clear()
          yield* sweep.pass
          assert.deepStrictEqual([...asked], [...ofOne])
          assert.isUndefined(asked.get("session"))
          assert.isUndefined(asked.get("group"))
          assert.isAbove(asked.size, 0)
        }).pipe(Effect.provide(servicesLayer(options, nudges)))
      }).pipe(Effect.provide(worldLayer(options)))
    },
    60_000,
  )

  it.effect("asks nothing about a session that runs while nothing about it changes", () => {
    const asked = new Map<string, number>()
    const options = { script: () => healthy(), ledger: countedLedger(asked) }
    return Effect.gen(function* () {
      const nudges = yield* makeNudges
      yield* Effect.gen(function* () {
        const sweep = yield* Sweep
        const engine = yield* SimulatedEngine
        yield* setUp
        yield* sweep.recover
        yield* say(nudges.look, "m1", 0)
        for (let second = 0; second < 10; second++) {
          yield* sweep.pass
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual((yield* messageOf("m1")).state, "completed")
        asked.clear()
        for (let second = 0; second < 5; second++) {
          yield* sweep.pass
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(engine.running(), 1)
        for (const question of ["session", "incarnation", "group", "admittedOpen", "openAttempts"]) {
          assert.isUndefined(asked.get(question), question)
        }
        assert.isAbove(asked.size, 0)
      }).pipe(Effect.provide(servicesLayer(options, nudges)))
    }).pipe(Effect.provide(worldLayer(options)))
  })
})
