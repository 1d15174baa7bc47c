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
}

type StartFailure = StartError["reason"]

type Death = "sigkill" | "oom"

const bear = (handle: string, spec: LaunchSpec, startedAt: number) => ({
  ref: { labels: spec.labels, handle } satisfies ContainerRef,
  spec,
  startedAt,
  sigterm: Deferred.makeUnsafe<void>(),
  /** The last lines of both streams, in order. */
  lines: [] as Array<readonly [source: OutputName, line: string]>,
  fiber: null as Fiber.Fiber<number> | null,
  /** How it was killed, if it was: decides what the exit looks like. */
  death: null as Death | null,
  exit: null as ContainerExit | null,
})
type SimulatedContainer = ReturnType<typeof bear>

/** Told before the container's first act, so that no event of it can be missed. */
type Born = (ref: ContainerRef) => void

type Switch = "standingFailure" | "ambiguity" | "answering" | "telling" | "seeing"

const unknownToAll = (): void => {}

/** Lines kept of each container. */
const MAX_KEPT_LINES = 1_000

export class SimulatedEngine extends Context.Service<SimulatedEngine, ReturnType<typeof engineOn>>()(
  "lamplighter/layers/memory/SimulatedEngine",
) {
  static readonly layer = <R = never>(
    options: SimulatedEngineOptions<R>,
  ): Layer.Layer<SimulatedEngine, never, R> => Layer.effect(SimulatedEngine, make(options))
}

const unavailable = new RuntimeUnavailable({ message: "the simulated engine is down" })

/** Agents run with the engine's own services and clock, not with those of whoever started them. */
interface Own<R> extends SimulatedEngineOptions<R> {
  readonly context: Context.Context<R>
  readonly clock: Clock.Clock
  readonly scope: Scope.Scope
}

/** The engine's state. It is an object of its own because the engine's calls and its faults both work on it. */
class Machine<R> {
  readonly #own: Own<R>
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

  constructor(own: Own<R>) {
    this.#own = own
  }

  bootId(): string {
    return this.boots === 0 ? "simulated-boot" : `simulated-boot-${this.boots}`
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
    const at = this.#own.clock.currentTimeMillisUnsafe()
    if (death !== null) return { exitCode: null, signal: "SIGKILL", oomKilled: death === "oom", at }
    return { exitCode: Exit.isSuccess(result) ? result.value : 1, signal: null, oomKilled: false, at }
  }

  #end(container: SimulatedContainer, result: Exit.Exit<number>): void {
    if (Exit.isFailure(result) && !Cause.hasInterruptsOnly(result.cause))
      this.#keep(container, "stderr", Cause.pretty(result.cause))
    container.exit = this.#exitOf(container, result)
    this.emit({ _tag: "Exited", ref: container.ref, exit: container.exit })
  }

  launch(spec: LaunchSpec, born: Born): Effect.Effect<ContainerRef> {
    return Effect.suspend(() => {
      const { session } = spec.labels
      const launch = (this.launches.get(session) ?? 0) + 1
      this.launches.set(session, launch)
      const startedAt = this.#own.clock.currentTimeMillisUnsafe()
      const container = bear(`simulated-${++this.#serial}`, spec, startedAt)
      const { ref, sigterm } = container
      this.containers.set(ref.handle, container)
      this.maximumLive = Math.max(this.maximumLive, this.runningOf(session).length)
      born(ref)
      const agent = this.#own.script(
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
        Effect.provideContext(this.#own.context),
        Effect.forkIn(this.#own.scope),
        Effect.provideContext(this.#own.context),
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

  start(spec: LaunchSpec, born: Born): Effect.Effect<ContainerRef, StartError> {
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

  die(container: SimulatedContainer, death: Death): void {
    if (container.exit !== null || container.death !== null) return
    container.death = death
    container.fiber?.interruptUnsafe()
  }

  strike(session: SessionId, death: Death): boolean {
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
  return engineOn(new Machine({ ...options, context, clock: yield* Clock.Clock, scope: yield* Effect.scope }))
})

type AnyMachine = Pick<Machine<never>, keyof Machine<never>>

/** What runtimes, tests and worlds have of a machine. */
const engineOn = (machine: AnyMachine) => ({
  ...answersOf(machine),
  ...faultsOf(machine),
  /** Launches of a session, or of all. */
  starts: (session?: SessionId): number =>
    session === undefined
      ? [...machine.launches.values()].reduce((sum, count) => sum + count, 0)
      : (machine.launches.get(session) ?? 0),
  running: (session?: SessionId): number => machine.runningOf(session).length,
  /** The most containers of one session that ever lived at once, over all sessions: must never pass 1. */
  maximumLivePerSession: (): number => machine.maximumLive,
})

/** What a runtime needs. */
const answersOf = (machine: AnyMachine) => {
  const answered = <A, E = never>(answer: () => A | Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | RuntimeUnavailable> => {
      if (!machine.answering) return unavailable
      const given = answer()
      return Effect.isEffect(given) ? given : Effect.succeed(given)
    })
  return {
    /** Of the boot that it is in now. */
    bootId: () => machine.bootId(),
    start: (spec: LaunchSpec, born: Born) => Effect.uninterruptible(machine.start(spec, born)),
    signal: (ref: ContainerRef, name: "SIGTERM" | "SIGKILL") => answered(() => machine.signal(ref, name)),
    list: (install: InstallId) => answered(() => machine.list(install)),
    output: (ref: ContainerRef, maxBytes: number) => answered(() => machine.output(ref, maxBytes)),
    remove: ({ handle }: ContainerRef) =>
      answered((): Effect.Effect<void, RuntimeUnavailable> => {
        if (machine.containers.get(handle)?.exit === null)
          return new RuntimeUnavailable({ message: `${handle} still runs; stop it first` })
        machine.containers.delete(handle)
        return Effect.void
      }),
    /** Called at each event, synchronously, until the scope closes. */
    listen: (listener: (event: RuntimeEvent) => void): Effect.Effect<void, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.sync(() => void machine.listeners.add(listener)),
        () => Effect.sync(() => machine.listeners.delete(listener)),
      ),
  }
}

/** Faults. Each start takes at most one of the failures queued for it. */
const faultsOf = (machine: AnyMachine) => {
  const set = (change: Partial<Pick<Machine<never>, Switch>>): Effect.Effect<void> =>
    Effect.sync(() => void Object.assign(machine, change))
  const gap = (reason: string) => Effect.sync(() => machine.emit({ _tag: "Gap", reason }))
  return {
    failNextStart: (reason: StartFailure) => Effect.sync(() => void machine.queuedFailures.push(reason)),
    /** Every start fails with this reason, until `null`. */
    failStarts: (standingFailure: StartFailure | null) => set({ standingFailure }),
    /** The next start answers `Ambiguous`; `created` says whether the container exists all the same. */
    nextStartIsAmbiguous: (ambiguity: "created" | "not-created") => set({ ambiguity }),
    /** The engine stops answering; containers go on, their events are lost. */
    down: set({ answering: false }),
    /** It answers again, and says that events may be missing. */
    up: Effect.andThen(set({ answering: true }), gap("the simulated engine was down")),
    /** Events are lost from now on… */
    dropEvents: set({ telling: false }),
    /** …until now, when a Gap is reported. */
    resumeEvents: Effect.andThen(set({ telling: true }), gap("the simulated engine's events were lost")),
    /** Exits from now on have neither code nor signal… */
    hideExits: set({ seeing: false }),
    /** …until now. */
    showExits: set({ seeing: true }),
    /** The kernel kills the session's container for its memory. False: none is running. */
    oomKill: (session: SessionId) => Effect.sync(() => machine.strike(session, "oom")),
    /** Somebody else's SIGKILL. False: none is running. */
    killOutside: (session: SessionId) => Effect.sync(() => machine.strike(session, "sigkill")),
    /** The host goes down and comes up: every container is gone with all traces, and the boot is another. */
    reboot: Effect.sync(() => machine.reboot()),
    /** A container that no answered start accounts for: its daemon died in between. */
    bearUnrecorded: (spec: LaunchSpec) => Effect.uninterruptible(machine.launch(spec, unknownToAll)),
  }
}
