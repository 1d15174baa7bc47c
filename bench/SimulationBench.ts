/** How much faster than the clock a simulated timeline runs: ten sessions that talk all day, looked at every second. */
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { healthy } from "../src/layers/memory/ScriptedAgents.ts"
import { makeNudges, servicesLayer, startDaemon, worldLayer } from "../src/testing/Timeline.ts"
import { addSessions, messages } from "./Host.ts"
import { type Bench, elapsed, shown, upTo } from "./Measure.ts"

const SESSIONS = 10

const pass = (seconds: number) =>
  Effect.forEach(upTo(seconds), () => TestClock.adjust(1_000), { discard: true })

const story = (seconds: number) => {
  const options = { script: () => healthy({ workMs: 3_000 }), policy: { idleMs: 86_400_000 } }
  return Effect.gen(function* () {
    const nudges = yield* makeNudges
    return yield* Effect.gen(function* () {
      yield* addSessions(SESSIONS, "test")
      yield* messages(0, SESSIONS, 0)
      const daemon = yield* startDaemon(nudges)
      const tookMs = yield* elapsed(pass(seconds))
      const stopping = yield* Fiber.interrupt(daemon).pipe(Effect.forkChild)
      yield* pass(60)
      yield* Fiber.join(stopping)
      return tookMs
    }).pipe(Effect.provide(servicesLayer(options, nudges)))
  }).pipe(
    Effect.provide(Layer.mergeAll(worldLayer(options), TestClock.layer())),
    Effect.scoped,
    Effect.runPromise,
  )
}

export const simulationBench: Bench = {
  name: "simulation",
  about: `simulated seconds per second: ${SESSIONS} live sessions, polled each second, in memory`,
  run: async (size) => {
    const seconds = size === "smoke" ? 600 : 20_000
    await story(60)
    const factor = (seconds * 1_000) / (await story(seconds))
    return [
      {
        what: `${shown(seconds)} simulated seconds`,
        ours: `${shown(Math.round(factor))} ×`,
        beside: "real time",
        target: ["≥ 5,000 ×", factor >= 5_000],
      },
    ]
  },
}
