/**
 * One life of the daemon in a simulated world: the unmodified services on the world's layers, in a process of its own that can be
 * stopped as by SIGTERM or killed as by SIGKILL at any crash point.
 */
import {
  Cause,
  Clock,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Random,
  References,
  Scheduler,
} from "effect"
import type { HostLimits, Policy } from "../domain/Policy.ts"
import { InstallId } from "../domain/Ids.ts"
import { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { SimulatedRuntime } from "../layers/memory/SimulatedRuntime.ts"
import { Channels } from "../services/Channels.ts"
import { ContainerRuntime, type RuntimeEvent } from "../services/ContainerRuntime.ts"
import { CrashPoint, type CrashPointName } from "../services/CrashPoint.ts"
import { daemon } from "../services/Daemon.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"
import { Workspace } from "../services/Workspace.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { neverAgain, type SimulatedProcess } from "./SimulatedHost.ts"

export const SIMULATED_INSTALL = InstallId.make("simulated")

/** What the daemon stands on: each life gets its own view of the same world. */
export interface DaemonLayers {
  readonly ledger: LedgerDriver["Service"]
  readonly mailbox: Mailbox["Service"]
  readonly workspace: Workspace["Service"]
  readonly channels: Channels["Service"]
  readonly engine: SimulatedEngine["Service"]
  readonly runtime: (plain: ContainerRuntime["Service"]) => ContainerRuntime["Service"]
}

export interface DaemonOptions {
  readonly process: SimulatedProcess
  readonly random: SeededRandom
  readonly layers: DaemonLayers
  readonly policy: Policy
  readonly limits: HostLimits
  readonly zone: string
  readonly sweepIntervalMs: number
  readonly pollIntervalMs: number
  /** Called at each crash point; `die` ends the process right there. */
  readonly onCrashPoint: (name: CrashPointName) => "go-on" | "die"
  readonly onLog: (line: string) => void
  readonly onReady: () => void
  /** It came to an end by itself or was stopped; null: no failure. */
  readonly onEnd: (failure: string | null) => void
}

export type DaemonServices = Operations | SessionStore | Sweep

export interface SimulatedDaemon {
  readonly process: SimulatedProcess
  readonly isReady: () => boolean
  /** As by SIGTERM. */
  readonly stop: () => void
  /** As by SIGKILL: whatever it was asked and has not answered is never answered. */
  readonly kill: () => void
  /** Runs an operator's or sender's request inside the daemon; `done` gets null when the daemon dies first. */
  readonly operate: <A, E>(
    request: Effect.Effect<A, E, DaemonServices>,
    done: (answer: Exit.Exit<A, E> | null) => void,
  ) => void
  /** What the engine tells this daemon. */
  readonly tell: (event: RuntimeEvent) => void
}

const seeded = (random: SeededRandom) => ({
  nextIntUnsafe: () => random.between(0, 2 ** 31 - 1),
  nextDoubleUnsafe: random.next,
})

export const bootDaemon = (options: DaemonOptions): SimulatedDaemon => {
  const { layers, process } = options
  let services: Context.Context<DaemonServices> | null = null
  let listener: (event: RuntimeEvent) => void = () => {}
  const unanswered = new Set<() => void>()

  const engine: SimulatedEngine["Service"] = {
    ...layers.engine,
    listen: (told) =>
      Effect.sync(() => {
        listener = told
      }),
  }
  const runtime = Layer.effect(ContainerRuntime, Effect.map(ContainerRuntime, layers.runtime)).pipe(
    Layer.provide(SimulatedRuntime.layer({ install: SIMULATED_INSTALL })),
    Layer.provide(Layer.succeed(SimulatedEngine, engine)),
  )
  const base = Layer.mergeAll(
    SessionStore.layer({ policy: options.policy, limits: options.limits, zone: options.zone }),
    runtime,
  ).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(LedgerDriver, layers.ledger),
        Layer.succeed(Mailbox, layers.mailbox),
        Layer.succeed(Workspace, layers.workspace),
        Layer.succeed(Channels, layers.channels),
      ),
    ),
  )
  const hit = (name: CrashPointName): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!process.isAlive()) return neverAgain
      return options.onCrashPoint(name) === "die" ? neverAgain : Effect.void
    })
  const context = Context.make(Clock.Clock, process.clock).pipe(
    Context.add(Scheduler.Scheduler, process.scheduler),
    Context.add(Random.Random, seeded(options.random)),
    Context.add(CrashPoint, hit),
    Context.add(References.MinimumLogLevel, "Warn" as const),
  )
  const logger = Logger.layer([
    Logger.make(({ message }) => {
      const parts = Array.isArray(message) ? message : [message]
      options.onLog(parts.map((part) => (Cause.isCause(part) ? Cause.pretty(part) : String(part))).join(" "))
    }),
  ])

  const program = Effect.gen(function* () {
    const look = yield* makeNudge
    const deliver = yield* makeNudge
    const whole = Operations.layer({
      runtime: "simulated",
      owners: [],
      globalAdmins: [],
      look,
      deliver,
    }).pipe(Layer.provideMerge(Sweep.layer(SIMULATED_INSTALL)), Layer.provideMerge(base))
    const built = yield* Layer.build(whole)
    services = built
    options.onReady()
    return yield* daemon({
      sweepIntervalMs: options.sweepIntervalMs,
      pollIntervalMs: options.pollIntervalMs,
      look,
      deliver,
    }).pipe(Effect.provideContext(built))
  }).pipe(Effect.scoped, Effect.provide(logger))

  let fiber: Fiber.Fiber<unknown, unknown> | null = null
  // Not at once: whoever boots it shall know it before it can fail.
  process.after(0, () => {
    fiber = Effect.runForkWith(context)(program)
    fiber.addObserver((exit) => {
      if (!process.isAlive()) return
      const failed = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
      options.onEnd(failed ? Cause.pretty(exit.cause) : null)
    })
  })

  const kill = (): void => {
    process.kill()
    listener = () => {}
    services = null
    for (const give of unanswered) give()
    unanswered.clear()
  }

  return {
    process,
    isReady: () => services !== null && process.isAlive(),
    stop: () => (fiber === null ? options.onEnd(null) : fiber.interruptUnsafe()),
    kill,
    operate: (request, done) => {
      if (services === null || !process.isAlive()) return done(null)
      const give = (): void => done(null)
      unanswered.add(give)
      const asked: Fiber.Fiber<unknown, unknown> = Effect.runForkWith(context)(
        request.pipe(Effect.provideContext(services), Effect.provide(logger)),
      )
      asked.addObserver((exit) => {
        if (unanswered.delete(give)) done(exit as Parameters<typeof done>[0])
      })
    },
    tell: (event) => {
      if (process.isAlive()) listener(event)
    },
  }
}
