/**
 * The layers of a simulated daemon with the weather in between: each call asks whether a fault is in force, does it or passes on, and
 * writes down what the invariants need. A daemon that is dead gets no answer from any of them.
 */
import { Effect, Result, Stream } from "effect"
import { SECOND_MS } from "../domain/Instant.ts"
import type { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
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
import { type Workspace, WorkspaceError } from "../services/Workspace.ts"
import type { GroundTruth } from "./GroundTruth.ts"
import type { LedgerWatch, Violate } from "./LedgerWatch.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { neverAgain } from "./SimulatedHost.ts"
import type { Weather } from "./Weather.ts"

export interface FaultyWorld {
  readonly weather: Weather
  readonly truth: GroundTruth
  readonly watch: LedgerWatch
  readonly random: SeededRandom
  readonly violate: Violate
  readonly now: () => number
  /** The number of a session; -1 for one that the plan does not know. */
  readonly sessionIndex: (id: string) => number
  /** The platform id to which a session's answers belong. */
  readonly homeOf: (sessionId: string) => string
  /** Called before the daemon sends a signal. */
  readonly beforeSignal: (ref: ContainerRef, name: "SIGTERM" | "SIGKILL") => void
  readonly isAlive: () => boolean
  /** Runs an effect in the engine after a while, whatever becomes of the daemon. */
  readonly inEngine: (ms: number, effect: Effect.Effect<unknown, unknown>) => void
}

/** Those under way when it goes down, and the first probes, whose intervals double. */
const PROBES_AT_FIRST = 16
const PROBE_CAP_MS = 29 * SECOND_MS

/** SQLite's own words, so that the driver takes it for what it stands for. */
const diskFull = (): Error =>
  Object.assign(new Error("database or disk is full (a fault of the simulation)"), { code: "SQLITE_FULL" })

export const faultyLedger = (
  driver: LedgerDriver["Service"],
  world: FaultyWorld,
): LedgerDriver["Service"] => {
  const { truth, watch, weather } = world
  let refusing = false

  const excused = (): void => {
    truth.excuses += 1
    truth.troubledAt = world.now()
  }

  /** Runs the body with every write noted; `failAt` (0: never) makes that write fail, or the end if there were fewer. */
  const noted =
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

  return {
    transaction: (f) =>
      Effect.suspend(() => {
        if (!world.isAlive()) return neverAgain
        if (refusing) {
          return Effect.fail(
            new LedgerError({ reason: "Closed", message: "nothing was written: a commit failed before" }),
          )
        }
        const uncertain = weather.strikeOnce("commit-uncertain", world.now())
        if (uncertain !== null) {
          refusing = true
          excused()
          const error = Effect.fail(
            new LedgerError({
              reason: "Uncertain",
              message: "the commit failed (a fault of the simulation)",
            }),
          )
          return uncertain.nth % 2 === 0
            ? error
            : driver.transaction(noted(f, 0)).pipe(Effect.ignore, Effect.andThen(error))
        }
        const full = weather.find("disk-full", world.now())
        // On some full disks a little room comes and goes.
        const isRoomy = full !== null && full.nth % 2 === 1 && world.random.chance(0.5)
        if (full === null || isRoomy) return driver.transaction(noted(f, 0))
        return driver.transaction(noted(f, 1 + (full.nth % 4))).pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              if (!(error instanceof LedgerError)) return
              weather.count(full)
              excused()
            }),
          ),
        )
      }),
    read: (f) => Effect.suspend(() => (world.isAlive() ? driver.read(f) : neverAgain)),
    backup: driver.backup,
  }
}

export const faultyRuntime = (
  runtime: ContainerRuntime["Service"],
  engine: SimulatedEngine["Service"],
  world: FaultyWorld,
): ContainerRuntime["Service"] => {
  const { weather } = world

  /** A slow engine takes its time before it acts and again before it answers; a daemon may die in either. */
  const slowly = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend((): Effect.Effect<A, E> => {
      if (!world.isAlive()) return neverAgain
      const slow = weather.strike("engine-slow", world.now())
      if (slow === null) return effect
      world.truth.troubledAt = world.now()
      const pause = (): Effect.Effect<void> => Effect.sleep(world.random.magnitude(10, 20 * SECOND_MS))
      return pause().pipe(
        Effect.andThen(Effect.suspend(() => (world.isAlive() ? effect : neverAgain))),
        Effect.tap(pause),
      )
    })

  const answering = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.tapError(effect, (error) =>
      Effect.sync(() => {
        const down = weather.find("engine-down", world.now())
        if (down === null) return
        if (error instanceof RuntimeUnavailable || error instanceof StartError) weather.count(down)
      }),
    )

  /** Starts that were tried in one outage of the engine: beyond those under way there is one probe at a time. */
  const tried = new Map<number, number>()
  const countProbe = (): void => {
    const down = weather.find("engine-down", world.now())
    if (down === null) return
    const count = (tried.get(down.id) ?? 0) + 1
    tried.set(down.id, count)
    if (count > PROBES_AT_FIRST + down.ms / PROBE_CAP_MS)
      world.violate(6, `${count} starts were tried while the engine was down`)
  }

  const refusal = (session: number): StartError | null => {
    const now = world.now()
    if (weather.strike("image-gone", now) !== null)
      return new StartError({ reason: "ImageMissing", message: "no such image" })
    const refused = weather.strike("start-refused", now, session)
    if (refused === null) return null
    return new StartError({
      reason: refused.nth % 2 === 0 ? "Configuration" : "Credentials",
      message: "the engine refuses",
    })
  }

  const start: ContainerRuntime["Service"]["start"] = (spec) =>
    Effect.suspend(() => {
      const index = world.sessionIndex(spec.labels.session)
      countProbe()
      const refused = refusal(index)
      if (refused !== null) return Effect.fail(refused)
      if (weather.strike("start-late", world.now(), index) !== null) {
        world.truth.troubledAt = world.now()
        world.inEngine(
          world.random.magnitude(SECOND_MS, 90 * SECOND_MS),
          engine.start(spec, () => {}),
        )
        return Effect.fail(new StartError({ reason: "Ambiguous", message: "no answer came in time" }))
      }
      const ambiguous = weather.strike("start-ambiguous", world.now(), index)
      if (ambiguous === null) return runtime.start(spec)
      world.truth.troubledAt = world.now()
      return engine
        .nextStartIsAmbiguous(ambiguous.nth % 2 === 0 ? "created" : "not-created")
        .pipe(Effect.andThen(runtime.start(spec)))
    })

  /** Exits and lines go missing without a word, or come twice. */
  const distorted = (event: RuntimeEvent): ReadonlyArray<RuntimeEvent> => {
    if (event._tag === "Gap") return [event]
    const lost = weather.strike("events-lost", world.now())
    if (lost !== null) {
      world.truth.troubledAt = world.now()
      return []
    }
    return weather.strike("events-repeated", world.now()) === null ? [event] : [event, event]
  }

  return {
    ...runtime,
    start: (spec) => answering(slowly(start(spec))),
    stop: (ref) =>
      answering(slowly(Effect.suspend(() => (world.beforeSignal(ref, "SIGTERM"), runtime.stop(ref))))),
    kill: (ref) =>
      answering(slowly(Effect.suspend(() => (world.beforeSignal(ref, "SIGKILL"), runtime.kill(ref))))),
    list: answering(slowly(runtime.list)),
    adopt: (ref) => answering(slowly(runtime.adopt(ref))),
    remove: (ref) => answering(slowly(runtime.remove(ref))),
    events: Stream.flatMap(runtime.events, (event) => Stream.fromIterable(distorted(event))),
  }
}

export const faultyMailbox = (mailbox: Mailbox["Service"], world: FaultyWorld): Mailbox["Service"] => {
  const { weather } = world
  const index = (pair: { readonly sessionId: string }): number => world.sessionIndex(pair.sessionId)
  const troubled = (): void => {
    world.truth.troubledAt = world.now()
  }
  const unreadable = (pair: { readonly sessionId: string }) => {
    if (weather.strike("mailbox-hostile", world.now(), index(pair)) !== null) {
      troubled()
      world.truth.unreadable.add(pair.sessionId)
      return new Quarantined({ reason: "its files are hostile" })
    }
    if (weather.strike("mailbox-unreadable", world.now(), index(pair)) === null) return null
    troubled()
    world.truth.unreadable.add(pair.sessionId)
    return new Unreadable({ message: "its files can't be read" })
  }
  const failing = (pair: { readonly sessionId: string }) => {
    if (weather.strike("mailbox-fails", world.now(), index(pair)) === null) return null
    troubled()
    return new MailboxError({ message: "no space left on device" })
  }
  return {
    ...mailbox,
    create: (pair, carry) =>
      Effect.suspend(() => {
        if (!world.isAlive()) return neverAgain
        const error = failing(pair)
        return error === null ? mailbox.create(pair, carry) : Effect.fail(error)
      }),
    project: (pair, projection) =>
      Effect.suspend(() => {
        if (!world.isAlive()) return neverAgain
        if (weather.strike("projection-blocked", world.now(), index(pair)) !== null) {
          troubled()
          return Effect.fail(new ProjectionBlocked({ message: "inbound.db is locked" }))
        }
        const error = failing(pair)
        if (error !== null) return Effect.fail(error)
        return mailbox.project(pair, projection)
      }),
    glance: (pair) => unreadable(pair) ?? mailbox.glance(pair),
    read: (pair, options) =>
      Effect.suspend(() => {
        if (!world.isAlive()) return neverAgain
        const error = unreadable(pair)
        return error === null ? mailbox.read(pair, options) : Effect.fail(error)
      }),
    removeBelow: (session, below) =>
      Effect.suspend(() => (world.isAlive() ? mailbox.removeBelow(session, below) : neverAgain)),
  }
}

export const faultyWorkspace = (
  workspace: Workspace["Service"],
  world: FaultyWorld,
): Workspace["Service"] => {
  const failing = <A>(effect: Effect.Effect<A, WorkspaceError>): Effect.Effect<A, WorkspaceError> =>
    Effect.suspend((): Effect.Effect<A, WorkspaceError> => {
      if (!world.isAlive()) return neverAgain
      return world.weather.strike("workspace-fails", world.now()) === null
        ? effect
        : Effect.fail(new WorkspaceError({ message: "permission denied" }))
    })
  return {
    zeroExitLogs: workspace.zeroExitLogs,
    prepareGroup: (group, json) => failing(workspace.prepareGroup(group, json)),
    writeSessionLists: (pair, lists) => failing(workspace.writeSessionLists(pair, lists)),
    writeExitLog: (log) => failing(workspace.writeExitLog(log)),
  }
}

/** The channel `test`: knows idempotency keys as a good receiver does, and writes down every send. */
export const faultyChannels = (world: FaultyWorld): Channels["Service"] => {
  const { truth, violate, watch, weather } = world
  const transient = (message: string): ChannelError =>
    new ChannelError({ kind: "Transient", message, retryAfterMs: null })

  const channel: Channel = {
    type: "test",
    send: (delivery) =>
      Effect.suspend(() => {
        if (!world.isAlive()) return neverAgain
        for (const [id, position] of watch.lanes.get(delivery.lane) ?? []) {
          if (delivery.deliverAfter === null && position < delivery.position)
            violate(2, `${delivery.id} was sent before ${id} of its lane`)
        }
        if (delivery.platformId !== world.homeOf(delivery.sessionId))
          violate(10, `${delivery.id} was sent to ${delivery.platformId}, which is not its session's place`)
        const known = truth.sends.get(delivery.id)
        if (known !== undefined) {
          if (known.content !== delivery.content) violate(2, `${delivery.id} was sent with other content`)
          if (known.taken > 0 && known.answered && known.excusesThen === truth.excuses)
            violate(2, `${delivery.id} was sent again after it was answered, and nothing explains it`)
        }
        return deliver(delivery.id, delivery.content)
      }),
  }

  const deliver = (id: string, content: string) => {
    const take = (answered: boolean): void => {
      const taken = (truth.sends.get(id)?.taken ?? 0) + 1
      truth.sends.set(id, { taken, answered, content, excusesThen: truth.excuses })
    }
    const now = world.now()
    const slow = weather.strike("channel-slow", now)
    const pause = slow === null ? Effect.void : Effect.sleep(world.random.magnitude(10, 30 * SECOND_MS))
    return pause.pipe(
      Effect.andThen(
        Effect.suspend((): Effect.Effect<{ readonly platformMessageId: string }, ChannelError> => {
          if (!world.isAlive()) return neverAgain
          const then = world.now()
          if (weather.strike("channel-down", then) !== null) return Effect.fail(transient("503"))
          if (weather.strike("channel-refuses", then) !== null) {
            return Effect.fail(
              new ChannelError({ kind: "Permanent", message: "400: it will never do", retryAfterMs: null }),
            )
          }
          const ambiguous = weather.strike("channel-ambiguous", then) !== null
          take(!ambiguous)
          return ambiguous
            ? Effect.fail(transient("no answer in time"))
            : Effect.succeed({ platformMessageId: `p-${id}` })
        }),
      ),
    )
  }

  return { get: (type) => (type === "test" ? channel : undefined), types: ["test"] }
}
