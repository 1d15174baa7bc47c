/**
 * The sweep: looks at what runs, asks the planner what to do about it, and does it. One failing session is quarantined at its own boundary
 * and never stops a pass. The daemon runs one pass at a time; starts and signals go on beside it. Its parts stand in `sweep/`.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { InstallId, SessionId } from "../domain/Ids.ts"
import { ContainerRuntime, type RuntimeEvent } from "./ContainerRuntime.ts"
import { Conflict } from "./ledger/Refusals.ts"
import { policyOf } from "./ledger/SessionUnit.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { Mailbox } from "./Mailbox.ts"
import { SessionStore } from "./SessionStore.ts"
import { Clocks } from "./sweep/Clocks.ts"
import { Errands } from "./sweep/Errands.ts"
import { Fleet, type Member } from "./sweep/Fleet.ts"
import { pass, type Scope, type Swept } from "./sweep/Pass.ts"
import { listBeside, listedAtLast } from "./sweep/Reconcile.ts"
import { shutdown } from "./sweep/Shutdown.ts"
import { Signals } from "./sweep/Signals.ts"
import { type RuntimeDown, Starts } from "./sweep/Starts.ts"
import { roomTaken } from "./sweep/Survey.ts"
import type { Failing } from "./Trouble.ts"
import { launch } from "./Waker.ts"
import type { Workspace } from "./Workspace.ts"

/** The runtime is listed again at least this often: the backstop for an event that never came. */
const LIST_EVERY_MS = 60_000

export class Sweep extends Context.Service<
  Sweep,
  {
    /** Finds again what an earlier daemon left running, and ends what died meanwhile. Before the first pass. */
    readonly recover: Effect.Effect<void, LedgerError>
    /** Looks at everything. */
    readonly pass: Effect.Effect<Swept, LedgerError>
    /** Looks at what was named since the last pass, and at what has an instant of its own that has come. */
    readonly attend: Effect.Effect<Swept, LedgerError>
    readonly onEvent: (event: RuntimeEvent) => Effect.Effect<void, LedgerError>
    /** Records why, then asks the container to stop. */
    readonly stop: (sessionId: SessionId, why: string) => Effect.Effect<void, LedgerError>
    /**
     * Starts a container for the session now, due work or not. `at-cap`: there is no room for it; `force` takes it all the same. Refused
     * while the daemon stops.
     */
    readonly wake: (
      sessionId: SessionId,
      how?: "within-caps" | "force",
    ) => Effect.Effect<"started" | "at-cap", Conflict | LedgerError>
    /** Stops every container, waits out the grace, and ends every incarnation: no orphan, no try spent. */
    readonly shutdown: Effect.Effect<void, LedgerError>
    /** Dies when something that goes on beside the passes died of a defect. */
    readonly broken: Effect.Effect<void>
    /** What keeps all sessions waiting; null: nothing does. */
    readonly down: Effect.Effect<RuntimeDown | null>
    /** What fails again and again at present. */
    readonly failing: Effect.Effect<ReadonlyArray<Failing>>
  }
>()("lamplighter/services/Sweep") {
  static readonly layer = (install: InstallId) =>
    Layer.effect(
      Sweep,
      Effect.suspend(() => make),
    ).pipe(
      Layer.provide(Layer.mergeAll(Signals.layer, Clocks.layer)),
      Layer.provide(Layer.mergeAll(Fleet.layer, Starts.layer(install), Errands.layer)),
    )
}

const make = Effect.gen(function* () {
  const store = yield* SessionStore
  const fleet = yield* Fleet
  const starts = yield* Starts
  const errands = yield* Errands
  const signals = yield* Signals
  const services = yield* Effect.context<
    SessionStore | ContainerRuntime | Mailbox | Workspace | Fleet | Starts | Errands | Signals | Clocks
  >()
  let listedAt = 0
  let gaps = 0

  const sweepOnce = Effect.fnUntraced(function* (scope: Scope) {
    const now = yield* Clock.currentTimeMillis
    if (Math.abs(now - listedAt) >= LIST_EVERY_MS) {
      listedAt = now
      yield* listBeside.pipe(Effect.provideContext(services))
    }
    return yield* pass(scope).pipe(Effect.provideContext(services))
  })

  /** What was missed is on the list. A gap that comes while the list is made has it made again. */
  const afterGap = Effect.gen(function* () {
    for (let seen = -1; seen !== gaps;) {
      seen = gaps
      if ((yield* listedAtLast(() => Effect.void)) !== null) yield* starts.signOfLife
    }
  })

  return Sweep.of({
    recover: recover.pipe(Effect.provideContext(services)),
    pass: sweepOnce("all"),
    attend: sweepOnce("named"),
    onEvent: Effect.fnUntraced(function* (event: RuntimeEvent) {
      const { labels } = event._tag === "Gap" ? { labels: null } : event.ref
      if (labels === null) {
        gaps += 1
        yield* errands.run("gap", Effect.ignore(afterGap).pipe(Effect.provideContext(services)))
      } else if (event._tag === "Exited") {
        const pair = { groupId: labels.group, sessionId: labels.session, incarnation: labels.incarnation }
        fleet.exit(pair, { ...event.exit, manner: "exited" }, event.ref)
      } else store.touched.session(labels.session)
    }),
    stop: Effect.fnUntraced(function* (sessionId: SessionId, why: string) {
      const session = yield* store.read((reader) => reader.session(sessionId))
      if (session?.live !== true) return
      const pair = { groupId: session.groupId, sessionId, incarnation: session.incarnation }
      yield* signals.stopLive(pair, "operator", why)
    }),
    wake: (sessionId, how = "within-caps") =>
      wakeByHand(sessionId, how).pipe(Effect.provideContext(services)),
    shutdown: shutdown.pipe(Effect.provideContext(services)),
    broken: errands.broken,
    down: Effect.sync(starts.down),
    failing: Effect.sync(() => [
      ...[store.trouble.current(), starts.listing.current()].filter((failing) => failing !== null),
      ...[...fleet.all()].flatMap(unkillable),
    ]),
  })
})

/** A daemon that starts while the runtime is down waits for it. */
const recover: Effect.Effect<void, LedgerError, SessionStore | ContainerRuntime | Fleet | Starts> =
  Effect.gen(function* () {
    const starts = yield* Starts
    if ((yield* listedAtLast(starts.runtimeDown)) !== null) yield* starts.runtimeUp
  })

/** A container that runs on after SIGKILL. */
const unkillable = ({ life, pair: { incarnation, sessionId } }: Member): ReadonlyArray<Failing> => {
  if (life._tag !== "Stopping" || life.kill === null || life.kill.count < 2) return []
  const { count, since } = life.kill
  return [{ what: "SIGKILL", since, count, message: `container ${sessionId}/${incarnation} runs on` }]
}

/** An operator's wake: due work or not, but within the caps unless it is forced. */
const wakeByHand = Effect.fnUntraced(function* (sessionId: SessionId, how: "within-caps" | "force") {
  const store = yield* SessionStore
  const fleet = yield* Fleet
  const starts = yield* Starts
  const found = yield* store.read((reader) => {
    const session = reader.session(sessionId)
    if (session === undefined) return undefined
    return { session, policy: policyOf(reader, session.groupId, store.options.policy) }
  })
  if (found === undefined) return "started" as const
  const { groupId, live } = found.session
  if (starts.isClosing()) {
    return yield* new Conflict({
      message: "the daemon is stopping and starts no container; start it again and try then",
    })
  }
  if (live || starts.underWay.has(sessionId)) return "started" as const
  const { liveByGroup, liveTotal } = roomTaken(fleet, starts)
  const isFull =
    liveTotal >= store.options.limits.maxContainers ||
    (liveByGroup.get(groupId) ?? 0) >= found.policy.maxContainersPerGroup
  if (isFull && how !== "force") return "at-cap" as const
  starts.underWay.set(sessionId, groupId)
  yield* Effect.uninterruptible(launch(sessionId, "operator"))
  return "started" as const
})
