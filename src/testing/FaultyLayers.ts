/**
 * The layers of a simulated daemon with the weather in between: each call asks whether a fault is in force, does it or passes on, and
 * writes down what the invariants need. A daemon that is dead gets no answer from any of them.
 */
import { Effect, Result, Stream } from "effect"
import type { Delivery } from "../domain/Delivery.ts"
import { SECOND_MS } from "../domain/Instant.ts"
import { type Channel, ChannelError, type Channels } from "../services/Channels.ts"
import {
  type ContainerRuntime,
  type ContainerRef,
  type RuntimeEvent,
  RuntimeUnavailable,
  StartError,
} from "../services/ContainerRuntime.ts"
import { type LedgerDriver, LedgerError, type LedgerTx } from "../services/LedgerDriver.ts"
import {
  type Mailbox,
  MailboxError,
  ProjectionBlocked,
  Quarantined,
  Unreadable,
} from "../services/Mailbox.ts"
import { runTwice } from "./RunTwice.ts"
import { type Workspace, WorkspaceError } from "../services/Workspace.ts"
import type { FaultKind } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import type { LedgerWatch } from "./LedgerWatch.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import type { DaemonLayers } from "./SimulatedDaemon.ts"
import { neverAgain } from "./SimulatedHost.ts"
import { sessionIndex } from "./WorldShape.ts"

export interface FaultyWorld {
  readonly ground: Ground
  readonly random: SeededRandom
  /** The platform id to which a session's answers belong. */
  readonly homeOf: (sessionId: string) => string
  /** Called before the daemon sends a signal. */
  readonly beforeSignal: (ref: ContainerRef, name: "SIGTERM" | "SIGKILL") => void
  readonly isAlive: () => boolean
}

/** Everything that a daemon stands on, with the weather in between. */
export const faultyLayers = (world: FaultyWorld): DaemonLayers => {
  return {
    ledger: faultyLedger(world),
    mailbox: faultyMailbox(world),
    workspace: faultyWorkspace(world),
    channels: faultyChannels(world),
    engine: world.ground.engine,
    runtime: (plain) => faultyRuntime(plain, world),
  }
}

/** A daemon that is dead gets no answer. */
const answered = <A, E>(isAlive: () => boolean, act: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => (isAlive() ? act() : neverAgain))

/** What is asked, unless the daemon is dead or something is wrong. */
const unless = <A, E, E2 extends object>(
  isAlive: () => boolean,
  find: () => E2 | null,
  effect: Effect.Effect<A, E>,
): Effect.Effect<A, E | E2> =>
  answered<A, E | E2>(isAlive, () => {
    const error = find()
    return error === null ? effect : Effect.fail(error)
  })

/** Those under way when it goes down, and the first probes, whose intervals double. */
const PROBES_AT_FIRST = 16
const PROBE_CAP_MS = 29 * SECOND_MS
/** How long a channel that is down asks to be left alone, where it says so. */
const ASKED_WAIT_MS = 45 * SECOND_MS

/** How long whoever asks an engine that hangs waits for its answer. */
const CALL_LIMIT_MS = 60 * SECOND_MS

/** SQLite's own words, so that the driver takes it for what it stands for. */
const diskFull = (): Error =>
  Object.assign(new Error("database or disk is full (a fault of the simulation)"), { code: "SQLITE_FULL" })

/** Runs the body with every write noted; `failAt` (0: never) makes that write fail, or the end if there were fewer. */
const noted =
  (watch: LedgerWatch) =>
  <A, E>(f: (tx: LedgerTx) => Result.Result<A, E>, failAt: number) =>
  (tx: LedgerTx): Result.Result<A, E> => {
    let writes = 0
    const write = (): void => {
      writes += 1
      if (writes === failAt) throw diskFull()
    }
    try {
      const result = f(watch.wrap(tx, write))
      if (failAt > 0 && writes > 0) throw diskFull()
      if (Result.isSuccess(result)) watch.commit(tx)
      else watch.rollBack()
      return result
    } catch (cause) {
      watch.rollBack()
      throw cause
    }
  }

/** One of so many transactions runs its body twice: all of them would cost the simulation its speed. */
const TWICE_EVERY = 16

const faultyLedger = ({ ground, isAlive, random }: FaultyWorld): LedgerDriver["Service"] => {
  const { driver, now, truth, weather } = ground
  const noting = noted(ground.watch)
  let refusing = false
  let transactions = 0
  const failed = (reason: LedgerError["reason"], message: string) =>
    Effect.fail(new LedgerError({ reason, message }))

  return {
    transaction: (body) =>
      answered(isAlive, () => {
        transactions += 1
        const f = transactions % TWICE_EVERY === 0 ? runTwice(body) : body
        if (refusing) return failed("Closed", "nothing was written: a commit failed before")
        const uncertain = weather.strikeOnce("commit-uncertain", now())
        if (uncertain !== null) {
          refusing = true
          truth.interrupt()
          const error = failed("Uncertain", "the commit failed (a fault of the simulation)")
          return uncertain.nth % 2 === 0
            ? error
            : driver.transaction(noting(f, 0)).pipe(Effect.ignore, Effect.andThen(error))
        }
        const full = weather.find("disk-full", now())
        // On some full disks a little room comes and goes.
        const isRoomy = full !== null && full.nth % 2 === 1 && random.chance(0.5)
        if (full === null || isRoomy) return driver.transaction(noting(f, 0))
        return driver.transaction(noting(f, 1 + (full.nth % 4))).pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              if (!(error instanceof LedgerError)) return
              weather.count(full)
              truth.interrupt()
            }),
          ),
        )
      }),
    read: (f) => answered(isAlive, () => driver.read(f)),
    backup: driver.backup,
  }
}

type Start = ContainerRuntime["Service"]["start"]

/** Starts under the weather: refused, late, or with an answer that says nothing. */
const faultyStart = (plain: Start, { ground, random }: FaultyWorld): Start => {
  const { engine, machine, now, truth, violate, weather } = ground
  /** Starts that were tried in one outage of the engine: beyond those under way there is one probe at a time. */
  const tried = new Map<number, number>()
  const countProbe = (): void => {
    const down = weather.find("engine-down", now())
    if (down === null) return
    const count = (tried.get(down.id) ?? 0) + 1
    tried.set(down.id, count)
    if (count > PROBES_AT_FIRST + down.ms / PROBE_CAP_MS)
      violate(6, `${count} starts were tried while the engine was down`)
  }
  const failed = (reason: StartError["reason"], message: string) =>
    Effect.fail(new StartError({ reason, message }))
  return (spec) =>
    Effect.suspend(() => {
      const index = sessionIndex(spec.labels.session)
      countProbe()
      if (weather.strike("image-gone", now()) !== null) return failed("ImageMissing", "no such image")
      const refused = weather.strike("start-refused", now(), index)
      if (refused !== null)
        return failed(refused.nth % 2 === 0 ? "Configuration" : "Credentials", "the engine refuses")
      if (weather.strike("start-late", now(), index) !== null) {
        truth.mark("trouble")
        const late = random.magnitude(SECOND_MS, 90 * SECOND_MS)
        machine.later(
          late,
          engine.start(spec, () => {}),
        )
        return failed("Ambiguous", "no answer came in time")
      }
      const ambiguous = weather.strike("start-ambiguous", now(), index)
      if (ambiguous === null) return plain(spec)
      truth.mark("trouble")
      const whether = ambiguous.nth % 2 === 0 ? "created" : "not-created"
      return Effect.andThen(engine.nextStartIsAmbiguous(whether), plain(spec))
    })
}

const faultyRuntime = (
  runtime: ContainerRuntime["Service"],
  world: FaultyWorld,
): ContainerRuntime["Service"] => {
  const { now, truth, weather } = world.ground
  /** A slow engine takes its time before it acts and again before it answers; a daemon may die in either. */
  const slowly = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    answered(world.isAlive, () => {
      if (weather.strike("engine-slow", now()) === null) return effect
      truth.mark("trouble")
      const pause = (): Effect.Effect<void> => Effect.sleep(world.random.magnitude(10, 20 * SECOND_MS))
      return pause().pipe(Effect.andThen(answered(world.isAlive, () => effect)), Effect.tap(pause))
    })
  /** An engine that hangs over one session's container, or over its list, acts or does not, and says nothing in either case. */
  const unlessHung = <A, E>(
    effect: Effect.Effect<A, E>,
    session?: string,
  ): Effect.Effect<A, E | RuntimeUnavailable> =>
    answered<A, E | RuntimeUnavailable>(world.isAlive, () => {
      const index = session === undefined ? undefined : sessionIndex(session)
      const hung = weather.strike("engine-hangs", now(), index)
      if (hung === null) return effect
      truth.mark("trouble")
      return (hung.nth % 2 === 0 ? Effect.ignore(effect) : Effect.void).pipe(
        Effect.andThen(Effect.sleep(CALL_LIMIT_MS)),
        Effect.andThen(Effect.fail(new RuntimeUnavailable({ message: "the engine did not answer" }))),
      )
    })
  const answering = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.tapError(slowly(effect), (error) =>
      Effect.sync(() => {
        const down = weather.find("engine-down", now())
        if (down !== null && (error instanceof RuntimeUnavailable || error instanceof StartError))
          weather.count(down)
      }),
    )
  const signalling = (ref: ContainerRef, name: "SIGTERM" | "SIGKILL") => {
    const signal = name === "SIGTERM" ? runtime.stop(ref) : runtime.kill(ref)
    const told = Effect.suspend(() => (world.beforeSignal(ref, name), signal))
    return answering(unlessHung(told, ref.labels.session))
  }
  /** Exits and lines go missing without a word, or come twice. */
  const distorted = (event: RuntimeEvent): ReadonlyArray<RuntimeEvent> => {
    if (event._tag === "Gap") return [event]
    if (weather.strike("events-lost", now()) !== null) {
      truth.mark("trouble")
      return []
    }
    return weather.strike("events-repeated", now()) === null ? [event] : [event, event]
  }
  const start = faultyStart(runtime.start, world)
  return {
    ...runtime,
    start: (spec) => answering(start(spec)),
    stop: (ref) => signalling(ref, "SIGTERM"),
    kill: (ref) => signalling(ref, "SIGKILL"),
    list: answering(unlessHung(runtime.list)),
    adopt: (ref) => answering(runtime.adopt(ref)),
    remove: (ref) => answering(runtime.remove(ref)),
    events: Stream.flatMap(runtime.events, (event) => Stream.fromIterable(distorted(event))),
  }
}

const faultyMailbox = ({ ground, isAlive }: FaultyWorld): Mailbox["Service"] => {
  const { mailbox, now, truth, weather } = ground
  /** The error of this kind of fault, where it is in force for the session. */
  const struck = <E>(kind: FaultKind, sessionId: string, error: E): E | null => {
    if (weather.strike(kind, now(), sessionIndex(sessionId)) === null) return null
    truth.mark("trouble")
    return error
  }
  const unreadable = (sessionId: string) => {
    const error =
      struck("mailbox-hostile", sessionId, new Quarantined({ reason: "its files are hostile" })) ??
      struck("mailbox-unreadable", sessionId, new Unreadable({ message: "its files can't be read" }))
    if (error !== null) truth.unreadable.add(sessionId)
    return error
  }
  const failing = (sessionId: string) =>
    struck("mailbox-fails", sessionId, new MailboxError({ message: "no space left on device" }))
  const blocked = (sessionId: string) =>
    struck("projection-blocked", sessionId, new ProjectionBlocked({ message: "inbound.db is locked" })) ??
    failing(sessionId)
  return {
    ...mailbox,
    create: (pair, carry) => unless(isAlive, () => failing(pair.sessionId), mailbox.create(pair, carry)),
    project: (pair, shown) => unless(isAlive, () => blocked(pair.sessionId), mailbox.project(pair, shown)),
    glance: (pair) => unreadable(pair.sessionId) ?? mailbox.glance(pair),
    read: (pair, options) => unless(isAlive, () => unreadable(pair.sessionId), mailbox.read(pair, options)),
    removeBelow: (session, below) => answered(isAlive, () => mailbox.removeBelow(session, below)),
  }
}

const faultyWorkspace = ({ ground, isAlive }: FaultyWorld): Workspace["Service"] => {
  const { now, weather, workspace } = ground
  const failing = <A, E>(effect: Effect.Effect<A, E>) =>
    unless(
      isAlive,
      () => weather.strike("workspace-fails", now()) && new WorkspaceError({ message: "permission denied" }),
      effect,
    )
  return {
    zeroExitLogs: workspace.zeroExitLogs,
    prepareGroup: (group, json) => failing(workspace.prepareGroup(group, json)),
    writeSessionLists: (pair, lists) => failing(workspace.writeSessionLists(pair, lists)),
    writeExitLog: (log) => failing(workspace.writeExitLog(log)),
  }
}

/** The channel `test`: knows idempotency keys as a good receiver does, and writes down every send. */
const faultyChannels = ({ ground, homeOf, isAlive, random }: FaultyWorld): Channels["Service"] => {
  const { now, truth, violate, watch, weather } = ground
  const refusal = (kind: ChannelError["kind"], message: string, retryAfterMs: number | null = null) =>
    Effect.fail(new ChannelError({ kind, message, retryAfterMs }))

  const check = (delivery: Delivery): void => {
    for (const [id, position] of watch.lanes.get(delivery.lane) ?? []) {
      if (delivery.deliverAfter === null && position < delivery.position)
        violate(2, `${delivery.id} was sent before ${id} of its lane`)
    }
    if (delivery.platformId !== homeOf(delivery.sessionId))
      violate(10, `${delivery.id} was sent to ${delivery.platformId}, which is not its session's place`)
    const known = truth.sends.get(delivery.id)
    if (known === undefined) return
    if (known.content !== delivery.content) violate(2, `${delivery.id} was sent with other content`)
    if (known.taken > 0 && known.answered && known.excusesThen === truth.excuses)
      violate(2, `${delivery.id} was sent again after it was answered, and nothing explains it`)
  }
  const arrive = ({ content, id }: Delivery) => {
    if (weather.strike("channel-down", now()) !== null) {
      // Some of them are told how long to wait: by their ids, so that no other choice of the world depends on it.
      const asked = (id.codePointAt(id.length - 1) ?? 0) % 3 === 0 ? ASKED_WAIT_MS : null
      truth.askedWaits.set(id, asked)
      return refusal("Transient", "503", asked)
    }
    truth.askedWaits.set(id, null)
    if (weather.strike("channel-refuses", now()) !== null)
      return refusal("Permanent", "400: it will never do")
    const answered = weather.strike("channel-ambiguous", now()) === null
    const taken = (truth.sends.get(id)?.taken ?? 0) + 1
    truth.sends.set(id, { taken, answered, content, excusesThen: truth.excuses })
    return answered
      ? Effect.succeed({ platformMessageId: `p-${id}` })
      : refusal("Transient", "no answer in time")
  }
  const channel: Channel = {
    type: "test",
    send: (delivery) =>
      answered(isAlive, () => {
        check(delivery)
        const isSlow = weather.strike("channel-slow", now()) !== null
        const pause = isSlow ? Effect.sleep(random.magnitude(10, 30 * SECOND_MS)) : Effect.void
        return Effect.andThen(
          pause,
          answered(isAlive, () => arrive(delivery)),
        )
      }),
  }
  return { get: (type) => (type === "test" ? channel : undefined), types: ["test"] }
}
