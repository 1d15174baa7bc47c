/**
 * SIGTERM and SIGKILL. Why a container is stopped is recorded first; the signal comes after and is repeated until the engine heard it, or
 * what ignores SIGTERM would live for ever.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { StopReason } from "../../domain/Incarnation.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { killed, signalled, stopped, type Stopping } from "../../domain/Life.ts"
import { graceEnd } from "../../domain/SweepPlan.ts"
import { type ContainerRef, ContainerRuntime } from "../ContainerRuntime.ts"
import { crashable } from "../CrashPoint.ts"
import type { Pair } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Errands } from "./Errands.ts"
import { Fleet, type Member } from "./Fleet.ts"
import { replanned } from "./Standing.ts"

export class Signals extends Context.Service<Signals, Effect.Success<typeof make>>()(
  "lamplighter/services/sweep/Signals",
) {
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

  const sendKill = killerOf(fleet, runtime)

  /** An engine that did not hear it is told again at the next pass. One that fails at it beyond the grace may still hear SIGKILL. */
  const terminate = (pair: Pair) => {
    const ref = fleet.of(pair.sessionId)?.ref
    if (ref == null) return Effect.void
    const unheard = Effect.gen(function* () {
      const member = fleet.of(pair.sessionId)
      const life = stoppingOf(member)
      const { policy } = member?.standing ?? store.options
      if (life?.kill === null && (yield* Clock.currentTimeMillis) > graceEnd(life, policy))
        yield* sendKill(pair, ref)
    })
    return errands.signal(
      `stop ${keyOf(pair)}`,
      changeStopping(fleet, pair, (life, now) => ({ ...life, askedAt: life.askedAt ?? now })).pipe(
        Effect.andThen(runtime.stop(ref).pipe(crashable("runtime.stop"))),
        Effect.andThen(changeStopping(fleet, pair, signalled)),
        Effect.catchTag("RuntimeUnavailable", () => unheard),
        Effect.asVoid,
      ),
    )
  }

  return {
    /** Records why and sends SIGTERM. */
    stopLive: Effect.fnUntraced(function* (pair: Pair, reason: StopReason, why: string) {
      yield* store.requestStop(pair.sessionId, pair.incarnation, reason, why)
      const member = fleet.changeLive(pair, (known) => ({ ...known, life: stopped(known.life), nextAt: 0 }))
      if (member !== undefined) yield* terminate(pair)
    }),
    /** Sends SIGTERM to all that are to stop and that the engine has not told yet, whoever recorded the stop. */
    tellStopping: Effect.suspend(() =>
      Effect.forEach(
        [...fleet.all()].filter((member) => {
          const life = stoppingOf(member)
          return life?.signalledAt === null && life.kill === null
        }),
        ({ pair }) => terminate(pair),
        { discard: true },
      ),
    ),
    /** Sends SIGKILL. */
    kill: (pair: Pair) => {
      const ref = fleet.of(pair.sessionId)?.ref
      return ref == null ? Effect.void : errands.signal(`kill ${keyOf(pair)}`, sendKill(pair, ref))
    },
  }
})

const changeStopping = (
  fleet: Fleet["Service"],
  pair: Pair,
  change: (life: Stopping, now: EpochMs) => Stopping,
) =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    fleet.changeLive(pair, (known) =>
      known.life._tag === "Stopping" ? replanned({ ...known, life: change(known.life, now) }, now) : known,
    ),
  )

const killerOf = (fleet: Fleet["Service"], runtime: ContainerRuntime["Service"]) =>
  Effect.fnUntraced(function* (pair: Pair, ref: ContainerRef) {
    const before = stoppingOf(fleet.of(pair.sessionId))?.kill ?? null
    if (before?.count === 1)
      yield* Effect.logError(`container ${keyOf(pair)} runs on after SIGKILL: it is killed again and again`)
    yield* changeStopping(fleet, pair, killed)
    yield* runtime.kill(ref).pipe(
      crashable("runtime.kill"),
      // Whatever went wrong, a defect included: who notes only what is expected never kills again.
      Effect.onError(() => changeStopping(fleet, pair, (life) => ({ ...life, kill: before }))),
      Effect.ignore,
    )
  })

const stoppingOf = (member: Member | undefined): Stopping | undefined =>
  member?.life._tag === "Stopping" ? member.life : undefined

const keyOf = ({ incarnation, sessionId }: Pair): string => `${sessionId}/${incarnation}`
