/**
 * What is asked of the engine beside the pass: starts, signals, lists. An engine that hangs over one of them keeps no other session waiting.
 * One errand per key at a time; a second one of that key is dropped.
 */
import { Context, Effect, FiberMap, Layer, Semaphore } from "effect"

/** Signals under way at the same time; starts are limited by their own rate. */
const MAX_SIGNALS = 16

export class Errands extends Context.Service<
  Errands,
  {
    /** Begins at once, and goes on in the background. Returns whether it began. */
    readonly run: (key: string, errand: Effect.Effect<void>) => Effect.Effect<boolean>
    /** The same for a signal: of these only so many go on at the same time. */
    readonly signal: (key: string, errand: Effect.Effect<void>) => Effect.Effect<boolean>
    readonly underWay: Effect.Effect<number>
    /** Never ends, unless an errand dies of a defect: then it dies of the same. */
    readonly broken: Effect.Effect<void>
  }
>()("lamplighter/services/sweep/Errands") {
  static readonly layer = Layer.effect(
    Errands,
    Effect.gen(function* () {
      const fibers = yield* FiberMap.make<string, void, never>()
      const signals = yield* Semaphore.make(MAX_SIGNALS)
      const run = (key: string, errand: Effect.Effect<void>) =>
        Effect.suspend(() =>
          FiberMap.hasUnsafe(fibers, key)
            ? Effect.succeed(false)
            : Effect.as(
                FiberMap.run(fibers, key, errand, { onlyIfMissing: true, startImmediately: true }),
                true,
              ),
        )
      return Errands.of({
        run,
        signal: (key, errand) => run(key, signals.withPermit(errand)),
        underWay: FiberMap.size(fibers),
        broken: FiberMap.join(fibers),
      })
    }),
  )
}
