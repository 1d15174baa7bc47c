/**
 * What may start, and what is starting: the breaker over the runtime, the bucket that limits starts per second, and the sessions for which
 * a start is under way. The state only; `Waker.ts` starts.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import * as Breaker from "../../domain/Breaker.ts"
import type { GroupId, InstallId, SessionId } from "../../domain/Ids.ts"
import { earliest, type EpochMs } from "../../domain/Instant.ts"
import * as Wakes from "../../domain/WakeAdmission.ts"
import { SessionStore } from "../SessionStore.ts"
import { makeTrouble } from "../Trouble.ts"

/** A probe that waits for its turn is not asked for more often than this. */
const MIN_PROBE_WAIT_MS = 100

/** The runtime does not start anything: since when, after how many tries, why, and from when it is tried again. */
export interface RuntimeDown {
  readonly since: EpochMs
  readonly failures: number
  readonly why: string
  readonly nextTryAt: EpochMs
}

/** Hosts' parts of wakes at the same time: folders, pair and projection are synchronous in pieces. */
const COMPOSE_CONCURRENCY = 4

export class Starts extends Context.Service<Starts, Effect.Success<ReturnType<typeof make>>>()(
  "lamplighter/services/sweep/Starts",
) {
  static readonly layer = (install: InstallId) => Layer.effect(Starts, make(install))
}

const make = Effect.fnUntraced(function* (install: InstallId) {
  const { maxStartsPerSecond } = (yield* SessionStore).options.limits
  let breaker: Breaker.Breaker = Breaker.closedBreaker
  let why = ""
  let bucket = Wakes.fullStarts(yield* Clock.currentTimeMillis, maxStartsPerSecond)
  let closing = false
  const underWay = new Map<SessionId, GroupId>()
  return {
    /** Whose containers these are. */
    install,
    /** Held while the host prepares files, never while the engine starts: a slow engine delays only its own session. */
    composing: yield* Semaphore.make(COMPOSE_CONCURRENCY),
    /** Sessions for which a start is under way, with their groups. */
    underWay,
    /** The list of containers, which an engine may refuse again and again. */
    listing: makeTrouble("the list of containers"),
    /** What may start now; a probe among it. */
    room: (now: EpochMs): Pick<Wakes.WakeInput, "startsLeft" | "breaker"> => {
      bucket = Wakes.refillStarts(bucket, now, maxStartsPerSecond)
      return {
        startsLeft: Math.floor(bucket.tokens),
        breaker: closing ? "open" : Breaker.breakerGate(breaker, now),
      }
    },
    /** Puts those under way that were admitted out of that room. */
    admitted: (
      ids: ReadonlyArray<SessionId>,
      groupOf: ReadonlyMap<SessionId, GroupId>,
      gate: Wakes.WakeInput["breaker"],
      now: EpochMs,
    ): void => {
      if (ids.length === 0) return
      for (const id of ids) underWay.set(id, groupOf.get(id) as GroupId)
      bucket = Wakes.takeStarts(bucket, ids.length)
      if (gate === "probe") breaker = Breaker.onProbeStarted(breaker, now)
    },
    /** When those that wait for room have it, as far as this can tell. */
    nextAt: (waiting: Wakes.WakePlan["waiting"], now: EpochMs) =>
      earliest(
        waiting.some(({ reason }) => reason === "start-rate")
          ? Wakes.nextStartAt(bucket, maxStartsPerSecond)
          : null,
        breaker._tag === "Open" && waiting.some(({ reason }) => reason === "breaker")
          ? Math.max(breaker.probeAt, now + MIN_PROBE_WAIT_MS)
          : null,
      ),
    runtimeDown: (message: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        breaker = Breaker.onRuntimeDown(breaker, now)
        why = message
      }),
    runtimeUp: Effect.sync(() => {
      breaker = Breaker.onRuntimeUp()
    }),
    signOfLife: Effect.map(Clock.currentTimeMillis, (now) => {
      breaker = Breaker.onSignOfLife(breaker, now)
    }),
    /** Nothing starts any more. */
    close: Effect.sync(() => {
      closing = true
    }),
    isClosing: () => closing,
    down: (): RuntimeDown | null =>
      breaker._tag === "Closed"
        ? null
        : { since: breaker.since, failures: breaker.failures, why, nextTryAt: breaker.probeAt },
  }
})
