import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ignoresSigterm } from "../../src/layers/memory/ScriptedAgents.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { Fleet } from "../../src/services/sweep/Fleet.ts"
import type { Starts } from "../../src/services/sweep/Starts.ts"
import { roomTaken } from "../../src/services/sweep/Survey.ts"
import { group, say, SESSION } from "../../src/testing/Timeline.ts"
import { anIncarnation } from "../support/Rows.ts"
import { pass, timeline } from "../support/Story.ts"

const hour = { script: () => ignoresSigterm({ workMs: 3_600_000 }) }

describe("the edges of the sweep", () => {
  it.effect("a start takes its room beside the session's dead life", () =>
    Effect.gen(function* () {
      const fleet = yield* Fleet
      const row = anIncarnation()
      const { pair } = fleet.begin(row, 0)
      fleet.exit(pair, { exitCode: 0, signal: null, oomKilled: false, manner: "exited" })
      const starts = { underWay: new Map([[row.sessionId, row.groupId]]) } as unknown as Starts["Service"]
      assert.strictEqual(roomTaken(fleet, starts).liveTotal, 1)
    }).pipe(Effect.provide(Fleet.layer)),
  )
  it.effect("an old row does not displace a newer life", () =>
    Effect.gen(function* () {
      const fleet = yield* Fleet
      const old = anIncarnation()
      const newer = { ...old, number: (old.number + 1) as typeof old.number }
      fleet.begin(newer, 0)
      fleet.adopt(old, null, 0)
      assert.strictEqual(fleet.of(old.sessionId)?.pair.incarnation, newer.number)
    }).pipe(Effect.provide(Fleet.layer)),
  )
  it.effect("a kill that dies of a defect once is not the end of killing", () => {
    let kills = 0
    return timeline(
      {
        ...hour,
        runtime: (runtime) => ({
          ...runtime,
          kill: (ref) =>
            Effect.suspend(() => (kills++ === 0 ? Effect.die(new Error("bug")) : runtime.kill(ref))),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          yield* (yield* Sweep).stop(SESSION, "test")
          yield* pass(5)
          const status = (yield* (yield* SessionStore).read((r) => r.session(SESSION)))?.status
          assert.deepStrictEqual([kills > 0, (yield* SimulatedEngine).running(), status], [true, 0, status])
        }),
    )
  })
  it.effect("a shutdown waits out a group's own grace", () =>
    timeline(hour, ({ look }) =>
      Effect.gen(function* () {
        const store = yield* SessionStore
        yield* store.putGroup({ ...group, createdAt: 0, revision: 2, policy: { graceMs: 60_000 } })
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        const sweep = yield* Sweep
        let atEnd = -1
        const engine = yield* SimulatedEngine
        yield* Effect.forkChild(
          Effect.andThen(
            sweep.shutdown,
            Effect.sync(() => void (atEnd = engine.running())),
          ),
        )
        for (let s = 0; s < 120; s++) yield* TestClock.adjust("1 second")
        assert.strictEqual(atEnd, 0)
      }),
    ),
  )
})
