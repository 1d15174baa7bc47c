/** A story on a simulated timeline: a world of its own on the test clock, with the daemon's loops beside it, shut down at the end. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { MemoryChannels } from "../../src/layers/memory/MemoryChannels.ts"
import type { ContainerSide } from "../../src/layers/memory/MemoryMailbox.ts"
import type { SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import type { Operations } from "../../src/services/Operations.ts"
import type { SessionStore } from "../../src/services/SessionStore.ts"
import type { Sweep } from "../../src/services/Sweep.ts"
import {
  makeNudges,
  servicesLayer,
  setUp,
  startDaemon,
  type TimelineOptions,
  worldLayer,
} from "../../src/testing/Timeline.ts"

export type Nudges = Effect.Success<typeof makeNudges>

/** Runs a story in a world of its own, on the test clock, with a daemon that goes on beside it. */
export const timeline = <A, E>(
  options: TimelineOptions,
  story: (
    nudges: Nudges,
  ) => Effect.Effect<
    A,
    E,
    SessionStore | Sweep | Operations | SimulatedEngine | MemoryChannels | ContainerSide
  >,
) =>
  Effect.gen(function* () {
    const nudges = yield* makeNudges
    return yield* Effect.gen(function* () {
      yield* setUp
      const running = yield* startDaemon(nudges)
      const result = yield* Effect.exit(story(nudges))
      const stopping = yield* Fiber.interrupt(running).pipe(Effect.forkChild)
      for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      return yield* result
    }).pipe(Effect.provide(servicesLayer(options, nudges)))
  }).pipe(Effect.provide(worldLayer(options)))

/** Lets time pass in small steps, so that everything that comes due in between does its work. */
export const pass = (minutes: number) =>
  Effect.forEach(
    Array.from({ length: minutes * 12 }, (_, step) => step),
    () => TestClock.adjust("5 seconds"),
    { discard: true },
  )
