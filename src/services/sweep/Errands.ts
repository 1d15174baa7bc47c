/**
 * What is asked of the engine beside the pass: starts, signals, lists. An engine that hangs over one of them keeps no other session waiting.
 * One errand per key at a time; a second one of that key is dropped.
 */
import { Context, Effect, FiberMap, Layer, Semaphore } from "effect"

/** Signals under way at the same time; starts are limited by their own rate. */
const MAX_SIGNALS = 16

export class Errands extends Context.Service<Errands, Effect.Success<typeof make>>()(
  "lamplighter/services/sweep/Errands",
) {
  static readonly layer = Layer.effect(
    Errands,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const fibers = yield* FiberMap.make<string, void, never>()
  const signals = yield* Semaphore.make(MAX_SIGNALS)
  /** Begins at once, and goes on in the background. Returns whether it began. */
  const run = (key: string, errand: Effect.Effect<void>) =>
    Effect.suspend(() =>
      FiberMap.hasUnsafe(fibers, key)
        ? Effect.succeed(false)
        : Effect.as(FiberMap.run(fibers, key, errand, { onlyIfMissing: true, startImmediately: true }), true),
    )
  return {
    run,
    /** The same for a signal: of these only so many go on at the same time. */
    signal: (key: string, errand: Effect.Effect<void>) => run(key, signals.withPermit(errand)),
    underWay: FiberMap.size(fibers),
    /** Never ends, unless an errand dies of a defect: then it dies of the same. */
    broken: FiberMap.join(fibers),
  }
})
