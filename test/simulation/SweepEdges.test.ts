import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { ignoresSigterm } from "../../src/layers/memory/ScriptedAgents.ts"
import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { RuntimeUnavailable } from "../../src/services/ContainerRuntime.ts"
import { LedgerDriver, LedgerError } from "../../src/services/LedgerDriver.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { Fleet, isLive } from "../../src/services/sweep/Fleet.ts"
import { replanned } from "../../src/services/sweep/Standing.ts"
import { Errands } from "../../src/services/sweep/Errands.ts"
import { launch } from "../../src/services/Waker.ts"
import { Starts } from "../../src/services/sweep/Starts.ts"
import { roomTaken } from "../../src/services/sweep/Survey.ts"
import { IncarnationNumber, SessionId } from "../../src/domain/Ids.ts"
import { group, GROUP, say, SESSION } from "../../src/testing/Timeline.ts"
import { anIncarnation } from "../support/Rows.ts"
import { pass, timeline } from "../support/Story.ts"

const hour = { script: () => ignoresSigterm({ workMs: 3_600_000 }) }

const seconds = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => TestClock.adjust("1 second"), { discard: true })

const unavailable = Effect.fail(new RuntimeUnavailable({ message: "the engine refuses" }))

type Around = <A, E>(call: Effect.Effect<A, E | LedgerError>) => Effect.Effect<A, E | LedgerError>

const asItIs: Around = (call) => call

/** A ledger in memory whose calls go through these. */
const ledgerVia = ({ read = asItIs, transaction = asItIs }: { read?: Around; transaction?: Around }) =>
  Layer.effect(
    LedgerDriver,
    Effect.map(LedgerDriver, (driver) => ({
      ...driver,
      read: (body) => read(driver.read(body)),
      transaction: (body) => transaction(driver.transaction(body)),
    })),
  ).pipe(Layer.provide(MemoryLedger.layer))

const firstPhase = SessionStore.use((store) =>
  store.read((reader) => reader.incarnation(SESSION, IncarnationNumber.make(1))?.phase),
)

describe("the edges of the sweep", () => {
  it.effect("a container for which SIGTERM always fails is killed when its grace is over", () => {
    const signals: Array<string> = []
    let kills = 0
    return timeline(
      {
        ...hour,
        runtime: (runtime) => ({
          ...runtime,
          stop: () => Effect.suspend(() => (signals.push("SIGTERM"), unavailable)),
          kill: (ref) =>
            Effect.suspend(() => (signals.push("SIGKILL"), kills++ === 0 ? unavailable : runtime.kill(ref))),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          yield* (yield* Sweep).stop(SESSION, "test")
          yield* TestClock.adjust("9 seconds")
          assert.notInclude(signals, "SIGKILL")
          yield* seconds(11)
          assert.strictEqual(yield* firstPhase, "ended")
          assert.strictEqual(kills, 2)
        }),
    )
  })
  it.effect("a SIGKILL that ends nothing is sent again each half a minute, and is a state", () => {
    let kills = 0
    let takes = false
    return timeline(
      {
        ...hour,
        runtime: (runtime) => ({
          ...runtime,
          kill: (ref) => Effect.suspend(() => ((kills += 1), takes ? runtime.kill(ref) : Effect.void)),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          const sweep = yield* Sweep
          yield* say(look, "m1", 0)
          yield* pass(0.5)
          yield* sweep.stop(SESSION, "test")
          yield* pass(3)
          assert.isTrue(kills >= 5 && kills <= 6, `${kills} kills`)
          const [failing] = yield* sweep.failing
          assert.deepStrictEqual(
            [failing?.what, failing?.count, failing?.message],
            ["SIGKILL", kills, "container s1/1 runs on"],
          )
          takes = true
          yield* pass(1)
          assert.strictEqual(yield* firstPhase, "ended")
          assert.deepStrictEqual(yield* sweep.failing, [])
        }),
    )
  })
  it.effect("an operator's wake while the daemon stops is refused", () =>
    timeline(hour, () =>
      Effect.gen(function* () {
        const sweep = yield* Sweep
        yield* sweep.shutdown
        const refused = yield* Effect.flip(sweep.wake(SESSION))
        assert.include(refused.message, "the daemon is stopping")
        assert.strictEqual((yield* SimulatedEngine).starts(SESSION), 0)
      }),
    ),
  )
  it.effect("a ledger that fails for a moment does not end a shutdown", () => {
    let fails = 0
    const transaction: Around = (call) =>
      Effect.suspend(() =>
        fails-- > 0 ? Effect.fail(new LedgerError({ reason: "Full", message: "no space" })) : call,
      )
    return timeline({ ...hour, ledger: ledgerVia({ transaction }) }, ({ look }) =>
      Effect.gen(function* () {
        yield* say(look, "m1", 0)
        yield* pass(0.5)
        fails = 3
        const ended = yield* Effect.forkChild((yield* Sweep).shutdown)
        yield* seconds(20)
        assert.strictEqual((yield* SimulatedEngine).running(), 0)
        assert.strictEqual(ended.pollUnsafe()?._tag, "Success")
      }),
    )
  })
  it.effect("a list that fails after a gap is made again soon", () => {
    let lists = 0
    let refuses = false
    return timeline(
      {
        ...hour,
        runtime: (runtime) => ({
          ...runtime,
          list: Effect.suspend(() => ((lists += 1), refuses ? unavailable : runtime.list)),
        }),
      },
      () =>
        Effect.gen(function* () {
          yield* seconds(2)
          refuses = true
          lists = 0
          yield* (yield* Sweep).onEvent({ _tag: "Gap", reason: "test" })
          yield* seconds(16)
          assert.isTrue(lists >= 4 && lists <= 6, `${lists} lists`)
          refuses = false
          yield* seconds(6)
          const answered = lists
          yield* seconds(10)
          assert.strictEqual(lists, answered)
        }),
    )
  })
  it.effect("who stands nowhere is not asked about without a pause", () =>
    Effect.gen(function* () {
      const fleet = yield* Fleet
      const member = fleet.adopt(anIncarnation({ phase: "running" }), null, 0)
      assert.isTrue(isLive(member) && (replanned(member, 5_000).nextAt ?? 0) >= 6_000)
    }).pipe(Effect.provide(Fleet.layer)),
  )
  it.effect("an operator's wake that comes while a pass plans takes no cap beyond its number", () =>
    Effect.gen(function* () {
      for (let nth = 1; nth <= 8; nth++) {
        let reads = -Infinity
        let between = Effect.void as Effect.Effect<unknown>
        const read: Around = (call) => Effect.tap(call, () => (reads++ === nth ? between : Effect.void))
        const story = timeline(
          { ...hour, policy: { maxContainersPerGroup: 1 }, ledger: ledgerVia({ read }) },
          ({ look }) =>
            Effect.gen(function* () {
              const sweep = yield* Sweep
              const store = yield* SessionStore
              const engine = yield* SimulatedEngine
              const { id } = yield* store.resolveSession({
                id: SessionId.make("other"),
                groupId: GROUP,
                mode: "shared",
                address: { channelType: "test", platformId: "other", threadId: null },
              })
              between = Effect.option(sweep.wake(id))
              reads = 1
              yield* say(look, "m1", 0)
              yield* seconds(3)
              assert.isAbove(reads, nth)
              assert.strictEqual(engine.running(), 1, `the wake came after read ${nth}`)
            }),
        )
        yield* story
      }
    }),
  )
  it.effect("a container whose life ended while the engine made its list is no stranger", () => {
    let holds = false
    let kills = 0
    return timeline(
      {
        script: () => ignoresSigterm({ workMs: 5_000 }),
        runtime: (runtime) => ({
          ...runtime,
          kill: (ref) => Effect.suspend(() => ((kills += 1), runtime.kill(ref))),
          list: Effect.tap(runtime.list, () => (holds ? Effect.sleep("40 seconds") : Effect.void)),
        }),
      },
      ({ look }) =>
        Effect.gen(function* () {
          const engine = yield* SimulatedEngine
          yield* say(look, "m1", 0)
          yield* seconds(2)
          assert.strictEqual(engine.running(), 1)
          holds = true
          yield* (yield* Sweep).onEvent({ _tag: "Gap", reason: "test" })
          yield* seconds(1)
          holds = false
          yield* engine.killOutside(SESSION)
          yield* seconds(60)
          assert.strictEqual(kills, 0)
        }),
    )
  })
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
  it.effect(
    "a start whose last try is still ending leaves its room to a later pass",
    () =>
      Effect.gen(function* () {
        const starts = { underWay: new Map([[SESSION, GROUP]]) } as unknown as Starts["Service"]
        const errands = yield* Errands
        yield* errands.run(`start ${SESSION}`, Effect.never)
        yield* launch(SESSION, "due").pipe(Effect.provideService(Starts, starts))
        assert.strictEqual(starts.underWay.size, 0)
      }).pipe(Effect.provide(Errands.layer)) as Effect.Effect<void>,
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
