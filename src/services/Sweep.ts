/**
 * The sweep: looks at what runs, asks the planner what to do about it, and does it. One failing session is quarantined at its own
 * boundary and never stops the pass. The daemon runs one sweep at a time; starts go on beside it.
 */
import { Array, Clock, Context, Effect, Layer, Semaphore } from "effect"
import {
  type Breaker,
  breakerGate,
  closedBreaker,
  onProbeStarted,
  onRuntimeDown,
  onRuntimeUp,
  onSignOfLife,
} from "../domain/Breaker.ts"
import type { InstallId, SessionId } from "../domain/Ids.ts"
import type { GroupId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import { earliest, type EpochMs } from "../domain/Instant.ts"
import { resolvePolicy } from "../domain/Policy.ts"
import type { Session } from "../domain/Session.ts"
import { planSweep, type LiveView, type SweepAction } from "../domain/SweepPlan.ts"
import {
  fullStarts,
  nextStartAt,
  refillStarts,
  type StartBucket,
  takeStarts,
} from "../domain/WakeAdmission.ts"
import { Channels } from "./Channels.ts"
import { type ContainerRef, ContainerRuntime, type RuntimeEvent } from "./ContainerRuntime.ts"
import { crashable } from "./CrashPoint.ts"
import { isGivenUp, look, stoppingView } from "./Look.ts"
import { LedgerError } from "./LedgerDriver.ts"
import { Mailbox, Quarantined } from "./Mailbox.ts"
import { SessionStore } from "./SessionStore.ts"
import { wake } from "./Waker.ts"
import { newWatch, type Watch } from "./Watch.ts"
import { Workspace } from "./Workspace.ts"

/** Candidates of one priority that one pass considers. */
const MAX_CANDIDATES = 200
/** How far one pass looks past those of groups that are at their caps. */
const MAX_SCANNED = 51_200
/** Rows of one expiry transaction. */
const BATCH = 200
/** Slots of one transaction: some 0.1 ms each, in which nothing else has its turn. */
const SLOT_BATCH = 32
/** Passes over a full batch before the sweep goes on: the rest waits for the next pass. */
const MAX_BATCHES = 50
const LOOK_CONCURRENCY = 8
/** After so many looks whatever else waits has its turn: a look at an unchanged session takes some 20 µs, all of it synchronous. */
const LOOKS_PER_TURN = 32
/** Hosts' parts of wakes at the same time: folders, pair and projection are synchronous in pieces. */
const COMPOSE_CONCURRENCY = 4
/** Wall and monotonic clock may differ by this between two passes before ages start again. */
const CLOCK_JUMP_MS = 10_000
/** The runtime is listed again at least this often: the backstop for an event that never came. */
const LIST_EVERY_MS = 60_000
/** A start that nobody can vouch for has the runtime listed until it answers, each time later by this. */
const RELIST_MS = 1_000
const MAX_RELIST_MS = 5_000
/** A start that fails sets the instant of the next try: while any is under way, the ledger is asked again this soon. */
const STARTING_LOOK_MS = 1_000

export interface Swept {
  readonly nextLookAt: EpochMs | null
  readonly live: number
  readonly news: "news" | "nothing"
}

/** The runtime does not start anything: since when, after how many tries, why, and from when it is tried again. */
export interface RuntimeDown {
  readonly since: EpochMs
  readonly failures: number
  readonly why: string
  readonly nextTryAt: EpochMs
}

export class Sweep extends Context.Service<
  Sweep,
  {
    /** Finds again what an earlier daemon left running, and ends what died meanwhile. Before the first pass. */
    readonly recover: Effect.Effect<void, LedgerError>
    readonly pass: Effect.Effect<Swept, LedgerError>
    readonly onEvent: (event: RuntimeEvent) => Effect.Effect<void, LedgerError>
    /** Records why, then asks the container to stop. */
    readonly stop: (sessionId: SessionId, why: string) => Effect.Effect<void, LedgerError>
    /** Starts a container for the session now, due work or not. */
    readonly wake: (sessionId: SessionId) => Effect.Effect<void, LedgerError>
    /** Stops every container, waits out the grace, and ends every incarnation: no orphan, no try spent. */
    readonly shutdown: Effect.Effect<void, LedgerError>
    /** What keeps all sessions waiting; null: nothing does. */
    readonly down: Effect.Effect<RuntimeDown | null>
  }
>()("lamplighter/services/Sweep") {
  static readonly layer = (install: InstallId) => Layer.effect(Sweep, make(install))
}

const make = Effect.fnUntraced(function* (install: InstallId) {
  const store = yield* SessionStore
  const runtime = yield* ContainerRuntime
  const scope = yield* Effect.scope
  const services = yield* Effect.context<SessionStore | ContainerRuntime | Mailbox | Workspace | Channels>()
  const composing = yield* Semaphore.make(COMPOSE_CONCURRENCY)
  const watches = new Map<SessionId, Watch>()
  const starting = new Set<SessionId>()
  let breaker: Breaker = closedBreaker
  let downWhy = ""
  const noteDown = (why: string) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      breaker = onRuntimeDown(breaker, now)
      downWhy = why
    })
  let bucket: StartBucket = fullStarts(
    yield* Clock.currentTimeMillis,
    store.options.limits.maxStartsPerSecond,
  )
  let lastClocks: { wall: EpochMs; monotonicMs: number } | null = null
  /** Ages that span the last jump of the clock start from there, in whatever container. */
  let jumpedAt = 0
  let closing = false
  let lastListAt = 0

  const watchOf = (incarnation: Incarnation): Watch => {
    const found = watches.get(incarnation.sessionId)
    if (found !== undefined && found.incarnation === incarnation.number) return found
    const watch = newWatch(incarnation.sessionId, incarnation.number)
    // Whoever watched it before is gone: what it was seen doing last stands for the work, so that a restart excuses no silence.
    watch.workDueSince = incarnation.activeAt
    watch.ageOrigin = jumpedAt
    if (incarnation.handle !== null) watch.ref = JSON.parse(incarnation.handle) as ContainerRef
    watches.set(incarnation.sessionId, watch)
    return watch
  }

  /** The one place that catches defects: a session that breaks the code is set aside, the others go on. */
  const atBoundary = <A, E extends { readonly _tag: string }, R>(
    sessionId: SessionId,
    effect: Effect.Effect<A, E, R>,
    fallback: A,
  ): Effect.Effect<A, LedgerError, R> =>
    Effect.catchCause(effect, (cause) =>
      Effect.gen(function* () {
        const reason = String(
          cause.reasons
            .map((part) =>
              "error" in part
                ? describe(part.error)
                : "defect" in part
                  ? describe(part.defect)
                  : "interrupted",
            )
            .join("; "),
        )
        const interrupted = cause.reasons.some((part) => part._tag === "Interrupt")
        if (interrupted) return yield* Effect.interrupt
        // The ledger's trouble is the whole host's, and no session is set aside for it: whoever asked tries again.
        for (const part of cause.reasons) {
          if (part._tag === "Fail" && part.error instanceof LedgerError) return yield* part.error
        }
        const session = yield* store.read((reader) => reader.session(sessionId))
        // Until its container is gone it fails at every look: said once, it is not said again.
        const known = session?.status === "quarantined"
        if (!known) {
          yield* Effect.logError(`session ${sessionId} is set aside: ${reason}`, cause)
          yield* store
            .setStatus(sessionId, "quarantined", reason)
            .pipe(Effect.catchTag("NotFound", () => Effect.void))
        }
        const watch = watches.get(sessionId)
        if (watch !== undefined && (!known || (watch.exit === null && watch.signalledAt === null))) {
          yield* stopLive(sessionId, watch.incarnation, "quarantine", reason)
        }
        return fallback
      }),
    )

  const stopLive = Effect.fnUntraced(function* (
    sessionId: SessionId,
    incarnation: number,
    reason: NonNullable<Incarnation["stopReason"]>,
    why: string,
  ) {
    yield* store.requestStop(sessionId, incarnation, reason, why)
    const watch = watches.get(sessionId)
    if (watch !== undefined) yield* signal(watch)
  })

  /** Sends SIGTERM. An engine that did not hear it is told again at the next pass. */
  const signal = (watch: Watch) =>
    watch.ref === null
      ? Effect.void
      : runtime.stop(watch.ref).pipe(
          crashable("runtime.stop"),
          Effect.andThen(Clock.currentTimeMillis),
          Effect.map((now) => {
            watch.signalledAt ??= now
          }),
          Effect.ignore,
        )

  /** A transition can record a stop too (a cancelled occurrence, a blocked projection): it is carried out here. */
  const signalStopping = (rows: ReadonlyArray<Incarnation>) =>
    Effect.forEach(
      rows,
      (row) => {
        const watch = watches.get(row.sessionId)
        const waits =
          row.phase === "stopping" && watch?.incarnation === row.number && watch.signalledAt === null
        return waits && watch.exit === null ? signal(watch) : Effect.void
      },
      { discard: true },
    )

  const lookAt = (incarnation: Incarnation) => {
    const watch = watchOf(incarnation)
    if (watch.starting || (watch.ref === null && watch.exit === null)) {
      return Effect.succeed({ view: null, news: "nothing" as const })
    }
    return atBoundary(
      incarnation.sessionId,
      look(incarnation, watch).pipe(
        Effect.provideContext(services),
        Effect.catchTag("LedgerError", (error) =>
          Effect.as(Effect.logError(`look at ${incarnation.sessionId} failed: ${error.message}`), {
            view: null,
            news: "nothing" as const,
          }),
        ),
      ),
      { view: null, news: "nothing" as const },
    ).pipe(
      // What can't be looked at has its grace all the same, and then SIGKILL.
      Effect.flatMap((looked) =>
        looked.view !== null || watch.exit !== null
          ? Effect.succeed(looked)
          : Effect.map(stoppingView(incarnation, watch).pipe(Effect.provideContext(services)), (view) => ({
              ...looked,
              view,
            })),
      ),
      Effect.tap(({ news }) =>
        Effect.sync(() => {
          if (watch.exit !== null && news === "news" && watches.get(incarnation.sessionId) === watch) {
            watches.delete(incarnation.sessionId)
          }
        }),
      ),
    )
  }

  const lookAtAll = Effect.fnUntraced(function* (rows: ReadonlyArray<Incarnation>) {
    const looked: globalThis.Array<Effect.Success<ReturnType<typeof lookAt>>> = []
    for (const turn of Array.chunksOf(rows, LOOKS_PER_TURN)) {
      looked.push(...(yield* Effect.forEach(turn, lookAt, { concurrency: LOOK_CONCURRENCY })))
      yield* Effect.yieldNow
    }
    return looked
  })

  const perform = (action: SweepAction): Effect.Effect<void, LedgerError> => {
    switch (action._tag) {
      case "Stop":
        return stopLive(action.sessionId, action.incarnation, action.reason, action.why)
      case "Kill": {
        const watch = watches.get(action.sessionId)
        if (watch?.ref === null || watch?.ref === undefined) return Effect.void
        watch.killed = true
        // An engine that did not hear it must be told again, or what ignores SIGTERM lives for ever.
        return runtime.kill(watch.ref).pipe(
          crashable("runtime.kill"),
          Effect.catchTag("RuntimeUnavailable", () =>
            Effect.sync(() => {
              watch.killed = false
            }),
          ),
        )
      }
      case "Wake":
        return launch(action.sessionId, "due")
    }
  }

  /** Starts in the background, so that a slow engine delays only its own session. */
  const launch = Effect.fnUntraced(function* (sessionId: SessionId, cause: "due" | "operator") {
    if (starting.has(sessionId)) return
    starting.add(sessionId)
    const attempt = wake({
      install,
      sessionId,
      cause,
      composing,
      watching: (watch) => {
        watch.ageOrigin = jumpedAt
        watches.set(sessionId, watch)
      },
    }).pipe(
      Effect.provideContext(services),
      Effect.flatMap((woken) => {
        if (woken._tag === "Started") breaker = onRuntimeUp()
        if (woken._tag === "Ambiguous") return settleStart(woken.watch, woken.message)
        if (woken._tag !== "Failed") return Effect.void
        if (woken.reason !== "RuntimeDown") {
          return Effect.logWarning(`session ${sessionId} could not start (${woken.reason}): ${woken.message}`)
        }
        return Effect.andThen(
          noteDown(woken.message),
          Effect.logWarning(`the runtime is down: ${woken.message}`),
        )
      }),
    )
    yield* atBoundary(sessionId, attempt, undefined).pipe(
      Effect.catchTag("LedgerError", (error) => Effect.logError(`wake of ${sessionId}: ${error.message}`)),
      Effect.ensuring(Effect.sync(() => starting.delete(sessionId))),
      Effect.forkIn(scope),
    )
  })

  /** Compares what runs with what the ledger says, in both directions. */
  const reconcile = Effect.fnUntraced(function* () {
    // A container that started while the engine made its list is not on it, and lives: only those from before can be missed.
    const before = yield* store.read((reader) => reader.liveIncarnations())
    const expected = new Set(before.flatMap((row) => (starting.has(row.sessionId) ? [] : [keyOf(row)])))
    const listed = yield* runtime.list.pipe(crashable("runtime.list"))
    const rows = yield* store.read((reader) => reader.liveIncarnations())
    const live = new Map(rows.map((row) => [keyOf(row), row]))
    const current = new Map(rows.map((row) => [row.sessionId, row.number]))
    for (const status of listed) {
      const { labels } = status.ref
      const key = `${labels.session}/${labels.incarnation}`
      const row = live.get(key)
      live.delete(key)
      if (row === undefined) {
        // One that is older than the one being started holds its name.
        const older = labels.incarnation < (current.get(labels.session) ?? 0)
        if (starting.has(labels.session) && !older) continue
        yield* Effect.logWarning(`container ${key} is not in the ledger: it is stopped`)
        yield* Effect.ignore(
          status._tag === "Running" ? runtime.kill(status.ref) : runtime.remove(status.ref),
        )
        continue
      }
      const watch = watchOf(row)
      if (watch.starting) continue
      watch.ref = status.ref
      if (status._tag === "Running") {
        yield* Effect.ignore(runtime.adopt(status.ref).pipe(crashable("runtime.adopt")))
        yield* store.markStarted(row.sessionId, row.number, JSON.stringify(status.ref))
      } else {
        watch.exit ??= { ...status.exit, manner: "exited" }
      }
    }
    for (const row of live.values()) {
      const watch = watchOf(row)
      if (watch.starting || starting.has(row.sessionId) || !expected.has(keyOf(row))) continue
      if (row.phase === "starting") {
        yield* store.failStart(row.sessionId, row.number, {
          reason: "Interrupted",
          message: "the daemon stopped before the container existed",
          backOff: "breaker",
        })
        watches.delete(row.sessionId)
        continue
      }
      const manner = row.bootId === runtime.bootId ? ("exited" as const) : ("gone" as const)
      watch.exit ??= { exitCode: null, signal: null, oomKilled: false, manner }
    }
  })

  const resolveAmbiguous = reconcile().pipe(
    Effect.as("listed" as const),
    Effect.catchTag("RuntimeUnavailable", (error) =>
      Effect.as(Effect.logWarning(`listing failed: ${error.message}`), "not listed" as const),
    ),
  )

  /**
   * Only a listing can tell what became of a start. What it does not show did not start: the session tries again after its backoff.
   * A runtime that does not even list is down for everybody, and is asked again until it does.
   */
  const settleStart = Effect.fnUntraced(function* (watch: Watch, message: string) {
    let unanswered = 0
    while ((yield* resolveAmbiguous) === "not listed") {
      yield* noteDown(message)
      // A shutdown lists by itself.
      if (closing) return
      unanswered += 1
      yield* Effect.sleep(Math.min(unanswered * RELIST_MS, MAX_RELIST_MS))
    }
    breaker = onRuntimeUp()
    if (watch.ref !== null || watch.exit !== null) return
    watches.delete(watch.sessionId)
    yield* store.failStart(watch.sessionId, watch.incarnation, {
      reason: "NotStarted",
      message,
      backOff: unanswered > 0 ? "breaker" : "session",
    })
  })

  const noteClocks = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const wall = yield* Clock.currentTimeMillis
    const monotonicMs = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    if (lastClocks !== null) {
      const drift = wall - lastClocks.wall - (monotonicMs - lastClocks.monotonicMs)
      if (Math.abs(drift) > CLOCK_JUMP_MS) {
        yield* Effect.logWarning(`the clock jumped by ${drift} ms: ages start again from now`)
        jumpedAt = wall
        for (const watch of watches.values()) watch.ageOrigin = wall
      }
    }
    lastClocks = { wall, monotonicMs }
    return wall
  })

  const repeated = (batch: number, step: (limit: number) => Effect.Effect<number, LedgerError>) =>
    Effect.gen(function* () {
      for (let round = 0; round < MAX_BATCHES; round++) if ((yield* step(batch)) < batch) return
    })

  /** One answer of the ledger's indexes: who could wake, and when the next thing comes due. */
  const survey = (now: EpochMs, live: ReadonlyArray<Incarnation>) =>
    store.read((reader) => {
      const liveByGroup = new Map<GroupId, number>()
      const count = (groupId: GroupId) => liveByGroup.set(groupId, (liveByGroup.get(groupId) ?? 0) + 1)
      for (const row of live) count(row.groupId)
      // A start that is decided on and not recorded yet takes its room all the same.
      const recorded = new Set(live.map((row) => row.sessionId))
      const unrecorded = [...starting].filter((id) => !recorded.has(id))
      for (const id of unrecorded) {
        const session = reader.session(id)
        if (session !== undefined) count(session.groupId)
      }
      const liveTotal = live.length + unrecorded.length
      const caps = new Map<GroupId, number>()
      const capOf = (groupId: GroupId): number => {
        const known = caps.get(groupId)
        if (known !== undefined) return known
        const policy = resolvePolicy(store.options.policy, reader.group(groupId)?.policy ?? {})
        caps.set(groupId, policy.maxContainersPerGroup)
        return policy.maxContainersPerGroup
      }
      const room = store.options.limits.maxContainers - liveTotal
      const mayWake = (session: Session): boolean =>
        !starting.has(session.id) && (liveByGroup.get(session.groupId) ?? 0) < capOf(session.groupId)
      const waiting = ([2, 1, 0] as const).flatMap((priority) =>
        longEnough(room, mayWake, (limit) => reader.sessionsToWake("idle", priority, now, limit)),
      )
      return {
        ledgerNextAt: earliest(reader.nextWakeAfter(now), plusOne(reader.nextExpiry()), reader.nextSlot()),
        liveByGroup,
        liveTotal,
        candidates: waiting
          .filter((session) => !starting.has(session.id))
          .map((session) => ({
            sessionId: session.id,
            groupId: session.groupId,
            priority: session.wakePriority,
            wakeAt: session.wakeAt ?? now,
            maxContainersPerGroup: capOf(session.groupId),
          })),
      }
    })

  const pass = Effect.gen(function* () {
    const now = yield* noteClocks
    if (Math.abs(now - lastListAt) >= LIST_EVERY_MS) {
      lastListAt = now
      yield* resolveAmbiguous
    }
    yield* repeated(BATCH, store.expireMessages)
    yield* repeated(SLOT_BATCH, store.fireSlots)
    const before = yield* store.read((reader) => reader.liveIncarnations())
    const looked = yield* lookAtAll(before)
    const live = yield* store.read((reader) => reader.liveIncarnations())
    yield* signalStopping(live)
    const views = looked.flatMap(({ view }): ReadonlyArray<LiveView> => (view === null ? [] : [view]))
    // One that died and waits for its last reading takes no room from others.
    const running = live.filter((row) => watches.get(row.sessionId)?.exit == null)
    const { candidates, liveByGroup, liveTotal, ledgerNextAt } = yield* survey(now, running)
    bucket = refillStarts(bucket, now, store.options.limits.maxStartsPerSecond)
    const gate = closing ? "open" : breakerGate(breaker, now)
    const plan = planSweep(
      {
        live: views,
        ledgerNextAt,
        wakes: {
          candidates: candidates as never,
          liveTotal,
          liveByGroup,
          maxContainers: store.options.limits.maxContainers,
          startsLeft: Math.floor(bucket.tokens),
          breaker: gate,
        },
      },
      now,
    )
    const wakes = plan.actions.filter((action) => action._tag === "Wake").length
    if (wakes > 0) {
      bucket = takeStarts(bucket, wakes)
      if (gate === "probe") breaker = onProbeStarted(breaker, now)
    }
    yield* Effect.forEach(plan.actions, perform, { discard: true })
    const rateLimited = plan.waiting.some(({ reason }) => reason === "start-rate")
    const byBreaker = plan.waiting.some(({ reason }) => reason === "breaker") && breaker._tag === "Open"
    return {
      nextLookAt: earliest(
        plan.nextLookAt,
        starting.size > 0 ? now + STARTING_LOOK_MS : null,
        rateLimited ? nextStartAt(bucket, store.options.limits.maxStartsPerSecond) : null,
        byBreaker && breaker._tag === "Open" ? Math.max(breaker.probeAt, now + 100) : null,
      ),
      live: live.length,
      news: looked.some(({ news }) => news === "news") ? "news" : "nothing",
    } satisfies Swept
  })

  const recover = Effect.gen(function* () {
    yield* reconcile().pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          breaker = onRuntimeUp()
        }),
      ),
      Effect.tapError((error) =>
        Effect.andThen(
          noteDown(error.message),
          Effect.logWarning(`waiting for the runtime: ${error.message}`),
        ),
      ),
      Effect.catchTag("RuntimeUnavailable", () =>
        Effect.sleep(1_000).pipe(Effect.andThen(Effect.suspend(() => recoverLater))),
      ),
    )
  })
  const recoverLater: Effect.Effect<void, LedgerError> = Effect.suspend(() => recover)

  const shutdown = Effect.gen(function* () {
    closing = true
    const rows = yield* store.read((reader) => reader.liveIncarnations())
    for (const row of rows) yield* stopLive(row.sessionId, row.number, "shutdown", "the daemon stops")
    const started = yield* Clock.currentTimeMillis
    while (true) {
      yield* pass
      const left = yield* store.read((reader) => reader.liveIncarnations())
      const live = left.filter((row) => {
        const watch = watches.get(row.sessionId)
        return watch?.incarnation !== row.number || !isGivenUp(watch)
      }).length
      const now = yield* Clock.currentTimeMillis
      if (live === 0 || now - started > shutdownLimitMs(rows.length, store.options.policy.graceMs)) return
      yield* Effect.sleep(50)
      yield* Effect.ignore(reconcile())
    }
  })

  return Sweep.of({
    recover,
    pass,
    onEvent: Effect.fnUntraced(function* (event: RuntimeEvent) {
      if (event._tag === "Gap") {
        if ((yield* resolveAmbiguous) === "listed")
          breaker = onSignOfLife(breaker, yield* Clock.currentTimeMillis)
        return
      }
      if (event._tag !== "Exited") return
      const { session, incarnation } = event.ref.labels
      const watch = watches.get(session)
      if (watch === undefined || watch.incarnation !== incarnation) return
      watch.ref ??= event.ref
      watch.exit ??= { ...event.exit, manner: "exited" }
    }),
    stop: Effect.fnUntraced(function* (sessionId: SessionId, why: string) {
      const session = yield* store.read((reader) => reader.session(sessionId))
      if (session?.live === true) yield* stopLive(sessionId, session.incarnation, "operator", why)
    }),
    wake: (sessionId) => launch(sessionId, "operator"),
    shutdown,
    down: Effect.sync(() =>
      breaker._tag === "Closed"
        ? null
        : { since: breaker.since, failures: breaker.failures, why: downWhy, nextTryAt: breaker.probeAt },
    ),
  })
})

/**
 * The head of a queue, long enough that it fills the room where anything can: a group at its cap may have more sessions waiting than
 * one batch, and holds up nobody behind them.
 */
const longEnough = (
  room: number,
  mayWake: (session: Session) => boolean,
  head: (limit: number) => ReadonlyArray<Session>,
): ReadonlyArray<Session> => {
  for (let limit = MAX_CANDIDATES; ; limit *= 4) {
    const rows = head(limit)
    const all = rows.length < limit || limit >= MAX_SCANNED
    if (all || rows.filter(mayWake).length >= room) return rows
  }
}

const keyOf = (row: Incarnation): string => `${row.sessionId}/${row.number}`

const plusOne = (instant: EpochMs | null): EpochMs | null => (instant === null ? null : instant + 1)

/** Grace for all at once, and a second for the last readings. */
const shutdownLimitMs = (containers: number, graceMs: number): number => graceMs + 5_000 + containers * 50

const describe = (error: unknown): string => {
  if (error instanceof Quarantined) return error.reason
  return error instanceof Error ? error.message : String(error)
}
