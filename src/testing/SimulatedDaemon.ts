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
import { InstallId } from "../domain/Ids.ts"
import { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { Channels } from "../services/Channels.ts"
import type { ContainerRuntime, RuntimeEvent } from "../services/ContainerRuntime.ts"
import { CrashPoint, type CrashPointName } from "../services/CrashPoint.ts"
import { daemon } from "../services/Daemon.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { makeNudge } from "../services/Nudge.ts"
import type { Operations } from "../services/Operations.ts"
import type { SessionStore } from "../services/SessionStore.ts"
import type { Sweep } from "../services/Sweep.ts"
import { Workspace } from "../services/Workspace.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { neverAgain, type SimulatedProcess } from "./SimulatedHost.ts"
import { servicesOn, type ServiceSettings } from "./Timeline.ts"

const SIMULATED_INSTALL = InstallId.make("simulated")

/** What the daemon stands on: each life gets its own view of the same world. */
export interface DaemonLayers {
  readonly ledger: LedgerDriver["Service"]
  readonly mailbox: Mailbox["Service"]
  readonly workspace: Workspace["Service"]
  readonly channels: Channels["Service"]
  readonly engine: SimulatedEngine["Service"]
  readonly runtime: (plain: ContainerRuntime["Service"]) => ContainerRuntime["Service"]
}

/** What the daemon is told of how to be. */
export interface DaemonSettings extends ServiceSettings {
  readonly sweepIntervalMs: number
  readonly pollIntervalMs: number
}

export interface DaemonOptions extends DaemonSettings {
  readonly process: SimulatedProcess
  readonly random: SeededRandom
  readonly layers: DaemonLayers
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

/** Clock, chance and processor of the world. */
const surroundings = ({ onCrashPoint, process, random }: DaemonOptions) =>
  Context.make(Clock.Clock, process.clock).pipe(
    Context.add(Scheduler.Scheduler, process.scheduler),
    Context.add(Random.Random, seeded(random)),
    Context.add(CrashPoint, (name) =>
      Effect.suspend(() => (process.isAlive() && onCrashPoint(name) === "go-on" ? Effect.void : neverAgain)),
    ),
    Context.add(References.MinimumLogLevel, "Warn" as const),
  )

const loggerTo = (onLog: (line: string) => void) =>
  Logger.layer([
    Logger.make(({ message }) => {
      const parts = Array.isArray(message) ? message : [message]
      onLog(parts.map((part) => (Cause.isCause(part) ? Cause.pretty(part) : String(part))).join(" "))
    }),
  ])

/** Builds the services, hands them to `onBuilt`, and runs the loops until they are interrupted. `engine` has this daemon as its listener. */
const program = (
  options: DaemonOptions,
  engine: SimulatedEngine["Service"],
  onBuilt: (services: Context.Context<DaemonServices>) => void,
) =>
  Effect.gen(function* () {
    const { layers, pollIntervalMs, sweepIntervalMs } = options
    const nudges = { look: yield* makeNudge, deliver: yield* makeNudge }
    const world = Context.make(SimulatedEngine, engine).pipe(
      Context.add(LedgerDriver, layers.ledger),
      Context.add(Mailbox, layers.mailbox),
      Context.add(Workspace, layers.workspace),
      Context.add(Channels, layers.channels),
    )
    const built = yield* Layer.build(
      servicesOn(SIMULATED_INSTALL, options, layers.runtime, nudges).pipe(
        Layer.provideMerge(Layer.succeedContext(world)),
      ),
    )
    onBuilt(built)
    options.onReady()
    return yield* daemon({ sweepIntervalMs, pollIntervalMs, ...nudges }).pipe(Effect.provideContext(built))
  }).pipe(Effect.scoped)

export const bootDaemon = (options: DaemonOptions): SimulatedDaemon => {
  const { layers, process } = options
  let services: Context.Context<DaemonServices> | null = null
  let listener: (event: RuntimeEvent) => void = () => {}
  const unanswered = new Set<() => void>()
  const listen: SimulatedEngine["Service"]["listen"] = (told) =>
    Effect.sync(() => {
      listener = told
    })
  const context = surroundings(options)
  const logger = loggerTo(options.onLog)
  const life = program(options, { ...layers.engine, listen }, (built) => {
    services = built
  }).pipe(Effect.provide(logger))

  let fiber: Fiber.Fiber<unknown, unknown> | null = null
  // Not at once: whoever boots it shall know it before it can fail.
  process.after(0, () => {
    fiber = Effect.runForkWith(context)(life)
    fiber.addObserver((exit) => {
      if (!process.isAlive()) return
      const failed = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
      options.onEnd(failed ? Cause.pretty(exit.cause) : null)
    })
  })

  return {
    process,
    isReady: () => services !== null && process.isAlive(),
    stop: () => (fiber === null ? options.onEnd(null) : fiber.interruptUnsafe()),
    kill: () => {
      process.kill()
      listener = () => {}
      services = null
      for (const give of unanswered) give()
      unanswered.clear()
    },
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
