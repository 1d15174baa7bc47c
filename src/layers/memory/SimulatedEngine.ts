/**
 * A container engine that exists only in memory: scripted agents run as fibers, on whatever clock the world has. It outlives
 * the daemon that uses it, as a real engine does, so a test can tear the daemon's layers down and build them again on the
 * same engine. Faults are switched on from outside.
 */
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import type { InstallId, SessionId } from "../../domain/Ids.ts"
import {
  type ContainerExit,
  type ContainerOutput,
  type ContainerRef,
  type ContainerStatus,
  type LaunchSpec,
  type RuntimeEvent,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { makeOutputTail, type OutputName } from "../runtime/OutputTail.ts"

/** What a script has of the container that it runs in. */
export interface AgentProcess {
  readonly spec: LaunchSpec
  /** 1 for the engine's first launch of this session, 2 for its second… */
  readonly launch: number
  /** Completed by the first SIGTERM. A script that does not look at it ignores the signal. */
  readonly sigterm: Deferred.Deferred<void>
  /** One line of stdout. */
  readonly print: (line: string) => Effect.Effect<void>
  readonly printError: (line: string) => Effect.Effect<void>
}

/** Runs until the container exits; answers with the exit code. SIGKILL interrupts it: no finalizer may act. */
export type AgentScript<R = never> = (process: AgentProcess) => Effect.Effect<number, never, R>

export interface SimulatedEngineOptions<R> {
  /** Chooses the behaviour of each launch. */
  readonly script: (spec: LaunchSpec, launch: number) => AgentScript<R>
  /** Default `simulated-boot`. */
  readonly bootId?: string
}

type StartFailure = StartError["reason"]

interface SimulatedContainer {
  readonly ref: ContainerRef
  readonly spec: LaunchSpec
  readonly startedAt: number
  readonly sigterm: Deferred.Deferred<void>
  /** The last lines of both streams, in order. */
  readonly lines: Array<readonly [source: OutputName, line: string]>
  fiber: Fiber.Fiber<number> | null
  /** How it was killed, if it was: decides what the exit looks like. */
  death: "sigkill" | "oom" | null
  exit: ContainerExit | null
}

const unknownToAll = (): void => {}

/** Lines kept of each container. */
const MAX_KEPT_LINES = 1_000

export class SimulatedEngine extends Context.Service<
  SimulatedEngine,
  {
    /** Of the boot that it is in now. */
    readonly bootId: () => string
    // What a runtime needs.
    /** `born` is told before the container's first act, so that no event of it can be missed. */
    readonly start: (
      spec: LaunchSpec,
      born: (ref: ContainerRef) => void,
    ) => Effect.Effect<ContainerRef, StartError>
    readonly signal: (
      ref: ContainerRef,
      name: "SIGTERM" | "SIGKILL",
    ) => Effect.Effect<void, RuntimeUnavailable>
    readonly list: (install: InstallId) => Effect.Effect<ReadonlyArray<ContainerStatus>, RuntimeUnavailable>
    readonly output: (
      ref: ContainerRef,
      maxBytes: number,
    ) => Effect.Effect<ContainerOutput, RuntimeUnavailable>
    readonly remove: (ref: ContainerRef) => Effect.Effect<void, RuntimeUnavailable>
    /** Called at each event, synchronously, until the scope closes. */
    readonly listen: (listener: (event: RuntimeEvent) => void) => Effect.Effect<void, never, Scope.Scope>

    // Faults. Each start takes at most one of the failures queued for it.
    readonly failNextStart: (reason: StartFailure) => Effect.Effect<void>
    /** Every start fails with this reason, until `null`. */
    readonly failStarts: (reason: StartFailure | null) => Effect.Effect<void>
    /** The next start answers `Ambiguous`; `created` says whether the container exists all the same. */
    readonly nextStartIsAmbiguous: (truth: "created" | "not-created") => Effect.Effect<void>
    /** The engine stops answering; containers go on, their events are lost. */
    readonly down: Effect.Effect<void>
    /** It answers again, and says that events may be missing. */
    readonly up: Effect.Effect<void>
    /** Events are lost from now on… */
    readonly dropEvents: Effect.Effect<void>
    /** …until now, when a Gap is reported. */
    readonly resumeEvents: Effect.Effect<void>
    /** Exits from now on have neither code nor signal… */
    readonly hideExits: Effect.Effect<void>
    /** …until now. */
    readonly showExits: Effect.Effect<void>
    /** The kernel kills the session's container for its memory. False: none is running. */
    readonly oomKill: (session: SessionId) => Effect.Effect<boolean>
    /** Somebody else's SIGKILL. False: none is running. */
    readonly killOutside: (session: SessionId) => Effect.Effect<boolean>
    /** The host goes down and comes up: every container is gone with all traces, and the boot is another. */
    readonly reboot: Effect.Effect<void>
    /** A container that no answered start accounts for: its daemon died in between. */
    readonly bearUnrecorded: (spec: LaunchSpec) => Effect.Effect<ContainerRef>

    // What happened.
    /** Launches of a session, or of all. */
    readonly starts: (session?: SessionId) => number
    readonly running: (session?: SessionId) => number
    /** The most containers of one session that ever lived at once, over all sessions: must never pass 1. */
    readonly maximumLivePerSession: () => number
  }
>()("lamplighter/layers/memory/SimulatedEngine") {
  static readonly layer = <R = never>(
    options: SimulatedEngineOptions<R>,
  ): Layer.Layer<SimulatedEngine, never, R> => Layer.effect(SimulatedEngine, make(options))
}

const make = Effect.fnUntraced(function* <R>(options: SimulatedEngineOptions<R>) {
  // Agents run with the engine's own services and clock, not with those of whoever started them.
  const context = yield* Effect.context<R>()
  const scope = yield* Effect.scope
  const listeners = new Set<(event: RuntimeEvent) => void>()
  const containers = new Map<string, SimulatedContainer>()
  const launches = new Map<SessionId, number>()
  const queuedFailures: Array<StartFailure> = []
  let standingFailure: StartFailure | null = null
  let ambiguity: "created" | "not-created" | null = null
  let answering = true
  let telling = true
  let seeing = true
  let maximumLive = 0
  let serial = 0
  const firstBoot = options.bootId ?? "simulated-boot"
  let boots = 0

  const emit = (event: RuntimeEvent): void => {
    if (!answering || !telling) return
    for (const listener of listeners) listener(event)
  }

  const gap = (reason: string) => emit({ _tag: "Gap", reason })

  const keep = ({ lines }: SimulatedContainer, source: OutputName, line: string): void => {
    lines.push([source, line])
    if (lines.length > MAX_KEPT_LINES) lines.shift()
  }

  const runningOf = (session?: SessionId): Array<SimulatedContainer> =>
    [...containers.values()].filter(
      (container) =>
        container.exit === null && (session === undefined || container.ref.labels.session === session),
    )

  const exitOf = (container: SimulatedContainer, result: Exit.Exit<number>, at: number): ContainerExit => {
    if (!seeing) return { exitCode: null, signal: null, oomKilled: false, at: null }
    if (container.death !== null) {
      return { exitCode: null, signal: "SIGKILL", oomKilled: container.death === "oom", at }
    }
    return { exitCode: Exit.isSuccess(result) ? result.value : 1, signal: null, oomKilled: false, at }
  }

  const launch = Effect.fnUntraced(function* (spec: LaunchSpec, born: (ref: ContainerRef) => void) {
    const session = spec.labels.session
    const number = (launches.get(session) ?? 0) + 1
    launches.set(session, number)
    // Taken here: another start may run at the next yield.
    const handle = `simulated-${++serial}`
    const clock = yield* Effect.clockWith(Effect.succeed).pipe(Effect.provideContext(context))
    const container: SimulatedContainer = {
      ref: { labels: spec.labels, handle },
      spec,
      startedAt: clock.currentTimeMillisUnsafe(),
      sigterm: yield* Deferred.make<void>(),
      lines: [],
      fiber: null,
      death: null,
      exit: null,
    }
    const { ref } = container
    containers.set(ref.handle, container)
    maximumLive = Math.max(maximumLive, runningOf(session).length)
    born(ref)

    const script = options.script(spec, number)
    const agent = script({
      spec,
      launch: number,
      sigterm: container.sigterm,
      print: (line) =>
        Effect.sync(() => {
          keep(container, "stdout", line)
          emit({ _tag: "Line", ref, line })
        }),
      printError: (line) => Effect.sync(() => keep(container, "stderr", line)),
    })
    // The fork itself runs on the engine's scheduler too: a starter that dies now must not take the container's first step along.
    const fiber = yield* agent.pipe(
      Effect.provideContext(context),
      Effect.forkIn(scope),
      Effect.provideContext(context),
    )
    container.fiber = fiber
    fiber.addObserver((result) => {
      if (Exit.isFailure(result) && !Cause.hasInterruptsOnly(result.cause))
        keep(container, "stderr", Cause.pretty(result.cause))
      container.exit = exitOf(container, result, clock.currentTimeMillisUnsafe())
      emit({ _tag: "Exited", ref, exit: container.exit })
    })
    return ref
  })

  const unavailable = new RuntimeUnavailable({ message: "the simulated engine is down" })
  const answered = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | RuntimeUnavailable> =>
    Effect.suspend((): Effect.Effect<A, E | RuntimeUnavailable> => (answering ? effect : unavailable))

  const start = Effect.fnUntraced(function* (spec: LaunchSpec, born: (ref: ContainerRef) => void) {
    if (!answering) return yield* new StartError({ reason: "RuntimeDown", message: unavailable.message })
    const failure = queuedFailures.shift() ?? standingFailure
    if (failure !== null) {
      return yield* new StartError({ reason: failure, message: `a fault of the simulation: ${failure}` })
    }
    const namesake = runningOf().find(
      (container) =>
        container.spec.name === spec.name && container.ref.labels.install === spec.labels.install,
    )
    if (namesake !== undefined) {
      return yield* new StartError({
        reason: "NameTaken",
        message: `${spec.name} is taken by ${namesake.ref.handle}`,
      })
    }
    const truth = ambiguity
    ambiguity = null
    if (truth === "not-created")
      return yield* new StartError({ reason: "Ambiguous", message: "no answer came" })
    const ref = yield* launch(spec, truth === "created" ? unknownToAll : born)
    if (truth === "created") return yield* new StartError({ reason: "Ambiguous", message: "no answer came" })
    return ref
  })

  const die = (container: SimulatedContainer, death: "sigkill" | "oom"): void => {
    if (container.exit !== null || container.death !== null) return
    container.death = death
    container.fiber?.interruptUnsafe()
  }

  const strike = (session: SessionId, death: "sigkill" | "oom"): Effect.Effect<boolean> =>
    Effect.sync(() => {
      const targets = runningOf(session)
      for (const container of targets) die(container, death)
      return targets.length > 0
    })

  return SimulatedEngine.of({
    bootId: () => (boots === 0 ? firstBoot : `${firstBoot}-${boots}`),
    start: (spec, born) => Effect.uninterruptible(start(spec, born)),
    signal: (ref, name) =>
      answered(
        Effect.suspend(() => {
          const container = containers.get(ref.handle)
          if (container === undefined || container.exit !== null) return Effect.void
          if (name === "SIGTERM") return Effect.asVoid(Deferred.succeed(container.sigterm, undefined))
          die(container, "sigkill")
          return Effect.void
        }),
      ),
    list: (install) =>
      answered(
        Effect.sync(() =>
          [...containers.values()]
            .filter(({ ref }) => ref.labels.install === install)
            .map(({ exit, ref, startedAt }): ContainerStatus =>
              exit === null ? { _tag: "Running", ref, startedAt } : { _tag: "Exited", ref, exit },
            ),
        ),
      ),
    output: (ref, maxBytes) =>
      answered(
        Effect.sync(() => {
          const tail = makeOutputTail(maxBytes)
          for (const [source, line] of containers.get(ref.handle)?.lines ?? [])
            tail.feed(source, new TextEncoder().encode(`${line}\n`))
          return tail.output()
        }),
      ),
    remove: (ref) =>
      answered(
        Effect.suspend(() => {
          const container = containers.get(ref.handle)
          if (container !== undefined && container.exit === null) {
            return new RuntimeUnavailable({ message: `${ref.handle} still runs; stop it first` })
          }
          containers.delete(ref.handle)
          return Effect.void
        }),
      ),
    listen: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => listeners.add(listener)),
        () => Effect.sync(() => listeners.delete(listener)),
      ),

    failNextStart: (reason) => Effect.sync(() => void queuedFailures.push(reason)),
    failStarts: (reason) => Effect.sync(() => void (standingFailure = reason)),
    nextStartIsAmbiguous: (truth) => Effect.sync(() => void (ambiguity = truth)),
    down: Effect.sync(() => void (answering = false)),
    up: Effect.sync(() => {
      answering = true
      gap("the simulated engine was down")
    }),
    dropEvents: Effect.sync(() => void (telling = false)),
    resumeEvents: Effect.sync(() => {
      telling = true
      gap("the simulated engine's events were lost")
    }),
    hideExits: Effect.sync(() => void (seeing = false)),
    showExits: Effect.sync(() => void (seeing = true)),
    oomKill: (session) => strike(session, "oom"),
    killOutside: (session) => strike(session, "sigkill"),
    reboot: Effect.sync(() => {
      boots += 1
      const gone = [...containers.values()]
      containers.clear()
      for (const container of gone) die(container, "sigkill")
    }),
    bearUnrecorded: (spec) => Effect.uninterruptible(launch(spec, unknownToAll)),

    starts: (session) =>
      session === undefined
        ? [...launches.values()].reduce((sum, count) => sum + count, 0)
        : (launches.get(session) ?? 0),
    running: (session) => runningOf(session).length,
    maximumLivePerSession: () => maximumLive,
  })
})
