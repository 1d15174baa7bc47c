/**
 * SIGTERM and SIGKILL. Why a container is stopped is recorded first; the signal comes after and is repeated until the engine heard it, or
 * what ignores SIGTERM would live for ever.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { StopReason } from "../../domain/Incarnation.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { signalled, stopped, type Stopping } from "../../domain/Life.ts"
import { ContainerRuntime } from "../ContainerRuntime.ts"
import { crashable } from "../CrashPoint.ts"
import type { LedgerError } from "../LedgerDriver.ts"
import type { Pair } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Errands } from "./Errands.ts"
import { Fleet } from "./Fleet.ts"
import { replanned } from "./Standing.ts"

export class Signals extends Context.Service<
  Signals,
  {
    /** Records why and sends SIGTERM. */
    readonly stopLive: (pair: Pair, reason: StopReason, why: string) => Effect.Effect<void, LedgerError>
    /** Sends SIGTERM to all that are to stop and that the engine has not told yet, whoever recorded the stop. */
    readonly tellStopping: Effect.Effect<void>
    /** Sends SIGKILL, once. */
    readonly kill: (pair: Pair) => Effect.Effect<void>
  }
>()("lamplighter/services/sweep/Signals") {
  static readonly layer = Layer.effect(
    Signals,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const runtime = yield* ContainerRuntime
  const errands = yield* Errands

  const changeStopping = (pair: Pair, now: EpochMs, change: (life: Stopping) => Stopping) =>
    fleet.changeLive(pair, (known) =>
      known.life._tag === "Stopping" ? replanned({ ...known, life: change(known.life) }, now) : known,
    )

  /** An engine that did not hear it is told again at the next pass. */
  const terminate = (pair: Pair) => {
    const ref = fleet.of(pair.sessionId)?.ref
    if (ref == null) return Effect.void
    const told = Effect.map(Clock.currentTimeMillis, (now) =>
      changeStopping(pair, now, (life) => signalled(life, now)),
    )
    return errands.signal(
      `stop ${keyOf(pair)}`,
      runtime.stop(ref).pipe(crashable("runtime.stop"), Effect.andThen(told), Effect.ignore),
    )
  }

  return Signals.of({
    stopLive: Effect.fnUntraced(function* (pair, reason, why) {
      yield* store.requestStop(pair.sessionId, pair.incarnation, reason, why)
      const member = fleet.changeLive(pair, (known) => ({ ...known, life: stopped(known.life), nextAt: 0 }))
      if (member !== undefined) yield* terminate(pair)
    }),
    tellStopping: Effect.suspend(() =>
      Effect.forEach(
        [...fleet.all()].filter(({ life }) => life._tag === "Stopping" && life.signalledAt === null),
        ({ pair }) => terminate(pair),
        { discard: true },
      ),
    ),
    kill: (pair) => {
      const ref = fleet.of(pair.sessionId)?.ref
      if (ref == null) return Effect.void
      const note = (kill: Stopping["kill"]) =>
        Effect.map(Clock.currentTimeMillis, (now) => changeStopping(pair, now, (life) => ({ ...life, kill })))
      return errands.signal(
        `kill ${keyOf(pair)}`,
        note("sent").pipe(
          Effect.andThen(runtime.kill(ref).pipe(crashable("runtime.kill"))),
          // Whatever went wrong, a defect included: who notes only what is expected never kills again.
          Effect.onError(() => note("not-sent")),
          Effect.catchTag("RuntimeUnavailable", () => Effect.void),
          Effect.asVoid,
        ),
      )
    },
  })
})

const keyOf = ({ incarnation, sessionId }: Pair): string => `${sessionId}/${incarnation}`
