/**
 * A container engine that exists only in memory: scripted agents run as fibers, on whatever clock the world has. It outlives
 * the daemon that uses it, as a real engine does, so a test can tear the daemon's layers down and build them again on the
 * same engine. Faults are switched on from outside.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit, type Fiber, Layer, type Scope } from "effect"
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

type Switch = "standingFailure" | "ambiguity" | "answering" | "telling" | "seeing"

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

const unavailable = new RuntimeUnavailable({ message: "the simulated engine is down" })

/** The engine's state. It is an object of its own because the engine's calls and its faults both work on it. */
class Machine<R> {
  readonly #options: SimulatedEngineOptions<R>
  // Agents run with the engine's own services and clock, not with those of whoever started them.
  readonly #context: Context.Context<R>
  readonly #clock: Clock.Clock
  readonly #scope: Scope.Scope
  readonly listeners = new Set<(event: RuntimeEvent) => void>()
  readonly containers = new Map<string, SimulatedContainer>()
  readonly launches = new Map<SessionId, number>()
  readonly queuedFailures: Array<StartFailure> = []
  standingFailure: StartFailure | null = null
  ambiguity: "created" | "not-created" | null = null
  answering = true
  telling = true
  seeing = true
  maximumLive = 0
  boots = 0
  #serial = 0

  constructor(
    options: SimulatedEngineOptions<R>,
    context: Context.Context<R>,
    clock: Clock.Clock,
    scope: Scope.Scope,
  ) {
    this.#options = options
    this.#context = context
    this.#clock = clock
    this.#scope = scope
  }

  bootId(): string {
    const first = this.#options.bootId ?? "simulated-boot"
    return this.boots === 0 ? first : `${first}-${this.boots}`
  }

  emit(event: RuntimeEvent): void {
    if (!this.answering || !this.telling) return
    for (const listener of this.listeners) listener(event)
  }

  runningOf(session?: SessionId): Array<SimulatedContainer> {
    return [...this.containers.values()].filter(
      ({ exit, ref }) => exit === null && (session === undefined || ref.labels.session === session),
    )
  }

  #keep({ lines }: SimulatedContainer, source: OutputName, line: string): void {
    lines.push([source, line])
    if (lines.length > MAX_KEPT_LINES) lines.shift()
  }

  #exitOf({ death }: SimulatedContainer, result: Exit.Exit<number>): ContainerExit {
    if (!this.seeing) return { exitCode: null, signal: null, oomKilled: false, at: null }
    const at = this.#clock.currentTimeMillisUnsafe()
    if (death !== null) return { exitCode: null, signal: "SIGKILL", oomKilled: death === "oom", at }
    return { exitCode: Exit.isSuccess(result) ? result.value : 1, signal: null, oomKilled: false, at }
  }

  #end(container: SimulatedContainer, result: Exit.Exit<number>): void {
    if (Exit.isFailure(result) && !Cause.hasInterruptsOnly(result.cause))
      this.#keep(container, "stderr", Cause.pretty(result.cause))
    container.exit = this.#exitOf(container, result)
    this.emit({ _tag: "Exited", ref: container.ref, exit: container.exit })
  }

  launch(spec: LaunchSpec, born: (ref: ContainerRef) => void): Effect.Effect<ContainerRef> {
    return Effect.suspend(() => {
      const { session } = spec.labels
      const launch = (this.launches.get(session) ?? 0) + 1
      this.launches.set(session, launch)
      const container: SimulatedContainer = {
        ref: { labels: spec.labels, handle: `simulated-${++this.#serial}` },
        spec,
        startedAt: this.#clock.currentTimeMillisUnsafe(),
        sigterm: Deferred.makeUnsafe<void>(),
        lines: [],
        fiber: null,
        death: null,
        exit: null,
      }
      const { ref, sigterm } = container
      this.containers.set(ref.handle, container)
      this.maximumLive = Math.max(this.maximumLive, this.runningOf(session).length)
      born(ref)
      const agent = this.#options.script(
        spec,
        launch,
      )({
        spec,
        launch,
        sigterm,
        print: (line) =>
          Effect.sync(() => {
            this.#keep(container, "stdout", line)
            this.emit({ _tag: "Line", ref, line })
          }),
        printError: (line) => Effect.sync(() => this.#keep(container, "stderr", line)),
      })
      // The fork itself runs on the engine's scheduler too: a starter that dies now must not take the container's first step along.
      return agent.pipe(
        Effect.provideContext(this.#context),
        Effect.forkIn(this.#scope),
        Effect.provideContext(this.#context),
        Effect.map((fiber) => {
          container.fiber = fiber
          fiber.addObserver((result) => this.#end(container, result))
          return ref
        }),
      )
    })
  }

  /** Why a start is refused now, if it is. A failure that was queued for it is used up. */
  #refusal(spec: LaunchSpec): StartError | undefined {
    if (!this.answering) return new StartError({ reason: "RuntimeDown", message: unavailable.message })
    const failure = this.queuedFailures.shift() ?? this.standingFailure
    if (failure !== null)
      return new StartError({ reason: failure, message: `a fault of the simulation: ${failure}` })
    const namesake = this.runningOf().find(
      (one) => one.spec.name === spec.name && one.ref.labels.install === spec.labels.install,
    )
    return namesake === undefined
      ? undefined
      : new StartError({ reason: "NameTaken", message: `${spec.name} is taken by ${namesake.ref.handle}` })
  }

  start(spec: LaunchSpec, born: (ref: ContainerRef) => void): Effect.Effect<ContainerRef, StartError> {
    return Effect.suspend(() => {
      const refusal = this.#refusal(spec)
      if (refusal !== undefined) return refusal
      const truth = this.ambiguity
      this.ambiguity = null
      if (truth === null) return this.launch(spec, born)
      const ambiguous = new StartError({ reason: "Ambiguous", message: "no answer came" })
      return truth === "created" ? Effect.andThen(this.launch(spec, unknownToAll), ambiguous) : ambiguous
    })
  }

  die(container: SimulatedContainer, death: "sigkill" | "oom"): void {
    if (container.exit !== null || container.death !== null) return
    container.death = death
    container.fiber?.interruptUnsafe()
  }

  strike(session: SessionId, death: "sigkill" | "oom"): boolean {
    const targets = this.runningOf(session)
    for (const container of targets) this.die(container, death)
    return targets.length > 0
  }

  signal({ handle }: ContainerRef, name: "SIGTERM" | "SIGKILL"): void {
    const container = this.containers.get(handle)
    if (container === undefined || container.exit !== null) return
    if (name === "SIGTERM") Deferred.doneUnsafe(container.sigterm, Effect.void)
    else this.die(container, "sigkill")
  }

  list(install: InstallId): ReadonlyArray<ContainerStatus> {
    return [...this.containers.values()]
      .filter(({ ref }) => ref.labels.install === install)
      .map(({ exit, ref, startedAt }) =>
        exit === null ? { _tag: "Running", ref, startedAt } : { _tag: "Exited", ref, exit },
      )
  }

  output({ handle }: ContainerRef, maxBytes: number): ContainerOutput {
    const tail = makeOutputTail(maxBytes)
    for (const [source, line] of this.containers.get(handle)?.lines ?? [])
      tail.feed(source, new TextEncoder().encode(`${line}\n`))
    return tail.output()
  }

  reboot(): void {
    this.boots += 1
    const gone = [...this.containers.values()]
    this.containers.clear()
    for (const container of gone) this.die(container, "sigkill")
  }
}

const make = Effect.fnUntraced(function* <R>(options: SimulatedEngineOptions<R>) {
  const context = yield* Effect.context<R>()
  const machine = new Machine(options, context, yield* Clock.Clock, yield* Effect.scope)

  const answered = <A, E = never>(answer: () => A | Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | RuntimeUnavailable> => {
      if (!machine.answering) return unavailable
      const given = answer()
      return Effect.isEffect(given) ? given : Effect.succeed(given)
    })
  const set = (change: Partial<Pick<Machine<R>, Switch>>): Effect.Effect<void> =>
    Effect.sync(() => void Object.assign(machine, change))
  const gap = (reason: string) => Effect.sync(() => machine.emit({ _tag: "Gap", reason }))

  return SimulatedEngine.of({
    bootId: () => machine.bootId(),
    start: (spec, born) => Effect.uninterruptible(machine.start(spec, born)),
    signal: (ref, name) => answered(() => machine.signal(ref, name)),
    list: (install) => answered(() => machine.list(install)),
    output: (ref, maxBytes) => answered(() => machine.output(ref, maxBytes)),
    remove: ({ handle }) =>
      answered((): Effect.Effect<void, RuntimeUnavailable> => {
        if (machine.containers.get(handle)?.exit === null)
          return new RuntimeUnavailable({ message: `${handle} still runs; stop it first` })
        machine.containers.delete(handle)
        return Effect.void
      }),
    listen: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => machine.listeners.add(listener)),
        () => Effect.sync(() => machine.listeners.delete(listener)),
      ),

    failNextStart: (reason) => Effect.sync(() => void machine.queuedFailures.push(reason)),
    failStarts: (standingFailure) => set({ standingFailure }),
    nextStartIsAmbiguous: (ambiguity) => set({ ambiguity }),
    down: set({ answering: false }),
    up: Effect.andThen(set({ answering: true }), gap("the simulated engine was down")),
    dropEvents: set({ telling: false }),
    resumeEvents: Effect.andThen(set({ telling: true }), gap("the simulated engine's events were lost")),
    hideExits: set({ seeing: false }),
    showExits: set({ seeing: true }),
    oomKill: (session) => Effect.sync(() => machine.strike(session, "oom")),
    killOutside: (session) => Effect.sync(() => machine.strike(session, "sigkill")),
    reboot: Effect.sync(() => machine.reboot()),
    bearUnrecorded: (spec) => Effect.uninterruptible(machine.launch(spec, unknownToAll)),

    starts: (session) =>
      session === undefined
        ? [...machine.launches.values()].reduce((sum, count) => sum + count, 0)
        : (machine.launches.get(session) ?? 0),
    running: (session) => machine.runningOf(session).length,
    maximumLivePerSession: () => machine.maximumLive,
  })
})
