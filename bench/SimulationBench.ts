/** How much faster than the clock a simulated timeline runs: ten sessions that talk all day, looked at every second. */
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { MessageId, SessionId } from "../src/domain/Ids.ts"
import { healthy } from "../src/layers/memory/ScriptedAgents.ts"
import { plainDraft } from "../src/services/ledger/Accept.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { group, GROUP, makeNudges, servicesLayer, startDaemon, worldLayer } from "../src/testing/Timeline.ts"
import { type Bench, stopwatch } from "./Measure.ts"

const SESSIONS = 10

const story = (simulatedSeconds: number) => {
  const options = { script: () => healthy({ workMs: 3_000 }), policy: { idleMs: 86_400_000 } }
  return Effect.gen(function* () {
    const nudges = yield* makeNudges
    return yield* Effect.gen(function* () {
      const store = yield* SessionStore
      yield* store.putGroup({ ...group, createdAt: 0, revision: 1 })
      for (let n = 0; n < SESSIONS; n++) {
        yield* store.resolveSession({
          id: SessionId.make(`s${n}`),
          groupId: GROUP,
          mode: "shared",
          address: { channelType: "test", platformId: `p${n}`, threadId: null },
        })
        yield* store.accept(
          SessionId.make(`s${n}`),
          plainDraft({ id: MessageId.make(`m${n}`), kind: "chat", content: `{"text":"hi"}`, dueAt: 0 }),
        )
      }
      const daemon = yield* startDaemon(nudges)
      const read = stopwatch()
      for (let second = 0; second < simulatedSeconds; second++) yield* TestClock.adjust(1_000)
      const tookMs = read()
      const stopping = yield* Fiber.interrupt(daemon).pipe(Effect.forkChild)
      for (let second = 0; second < 60; second++) yield* TestClock.adjust(1_000)
      yield* Fiber.join(stopping)
      return tookMs
    }).pipe(Effect.provide(servicesLayer(options, nudges)))
  }).pipe(Effect.provide(Layer.mergeAll(worldLayer(options), TestClock.layer())), Effect.scoped)
}

export const simulationBench: Bench = {
  name: "simulation",
  about: `simulated seconds per second: ${SESSIONS} live sessions, polled each second, in memory`,
  run: async (size) => {
    const seconds = size === "smoke" ? 600 : 20_000
    await Effect.runPromise(story(60))
    const tookMs = await Effect.runPromise(story(seconds))
    const factor = (seconds * 1_000) / tookMs
    return [
      {
        what: `${seconds.toLocaleString("en")} simulated seconds`,
        ours: `${Math.round(factor).toLocaleString("en")} ×`,
        beside: "real time",
        target: { text: "≥ 5,000 ×", verdict: factor >= 5_000 ? "meets" : "misses" },
      },
    ]
  },
}
