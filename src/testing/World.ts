/**
 * A whole Lamplighter in a seeded world: the daemon's unmodified services on a simulated host, engine, exchange and channel, with the
 * ledger as real SQLite in memory. Faults come from a plan, a crash stops the daemon at a crash point and starts it again on
 * the same ledger, and the invariants of docs/simulation.md are checked all the while. First a safety phase with faults, then a
 * quiet phase that must converge. The same seed, shape and plan give the same run, to the last line of the trace.
 */
import { Context, Effect, Scope } from "effect"
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import { defaultHostLimits, type Policy } from "../domain/Policy.ts"
import { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { Workspace } from "../services/Workspace.ts"
import { ContainerWatch } from "./ContainerWatch.ts"
import { converge } from "./Convergence.ts"
import { failingTheNth, type NthCall } from "./FailTheNth.ts"
import type { Fault, FaultKind } from "./FaultPlan.ts"
import {
  faultyChannels,
  faultyLedger,
  faultyMailbox,
  faultyRuntime,
  faultyWorkspace,
  type FaultyWorld,
} from "./FaultyLayers.ts"
import { GroundTruth } from "./GroundTruth.ts"
import { makeHavoc } from "./Havoc.ts"
import { LedgerWatch } from "./LedgerWatch.ts"
import { buildMachine } from "./Machine.ts"
import { Moods } from "./Moods.ts"
import { makeOperators, type Operators, sessionIndex, sessionName } from "./Operators.ts"
import { seededRandom } from "./SeededRandom.ts"
import { simulatedAgent } from "./SimulatedAgent.ts"
import { bootDaemon, type DaemonLayers, type SimulatedDaemon } from "./SimulatedDaemon.ts"
import { SimulatedHost } from "./SimulatedHost.ts"
import type { SeriesSight } from "./SeriesWatch.ts"
import { Trace } from "./Trace.ts"
import { Weather } from "./Weather.ts"
import type { WorldShape } from "./WorldShape.ts"

export interface Violation {
  /** Of security.md §6; 0: the daemon or the simulation itself broke. */
  readonly invariant: number
  readonly message: string
  /** Elapsed milliseconds. */
  readonly at: number
}

export interface Outcome {
  /** The first one; a world stops at it. */
  readonly violation: Violation | null
  /** How often each kind of fault really struck. */
  readonly struck: ReadonlyMap<FaultKind | "clock-change", number>
  /** How often each thing happened that can become of a task's slots. */
  readonly sights: ReadonlyMap<SeriesSight, number>
  readonly trace: Trace
  readonly elapsedMs: number
  readonly tasks: number
  readonly commits: number
  readonly crashPoints: number
  readonly messages: number
}

export interface WorldOptions {
  readonly seed: string
  readonly shape: WorldShape
  readonly faults: ReadonlyArray<Fault>
  readonly trace?: "all" | "last"
  /** What the daemon is told instead of the shape's policy: for tests that want it to break an invariant. */
  readonly misleading?: Partial<Policy>
  /** Breaks the daemon on purpose, to see whether the invariants notice. */
  readonly sabotage?: (layers: DaemonLayers) => DaemonLayers
  /** Makes the Nth call of the safety phase fail. */
  readonly nth?: NthCall
}

/** What the parts of a world share. */
export interface World {
  readonly options: WorldOptions
  readonly host: SimulatedHost
  readonly truth: GroundTruth
  readonly watch: LedgerWatch
  readonly weather: Weather
  readonly trace: Trace
  readonly engine: SimulatedEngine["Service"]
  readonly driver: LedgerDriver["Service"]
  readonly violate: (invariant: number, message: string) => void
  readonly violation: () => Violation | null
  readonly daemon: () => SimulatedDaemon | null
  /** Kills it here and now, and starts it again after `ms`. */
  readonly crash: (ms: number, why: string) => void
  /** Runs `task` after `ms`, outside of the daemon. */
  readonly after: (ms: number, task: () => void) => void
  readonly operators: Operators
  /** Agents do as they should from now on. */
  readonly calm: () => void
  /** By how much the wall clock was ever set back. */
  readonly setBackMs: () => number
}

/** Often enough that what waits for a minute is seen waiting. */
const TICK_MS = 90_000

/** A stop that takes longer than this, with nothing in its way, is a bug. */
const STOP_LIMIT_MS = 5 * MINUTE_MS

export const runWorld = (options: WorldOptions): Outcome => {
  const { shape } = options
  const random = seededRandom(options.seed)
  const trace = new Trace(options.trace ?? "last")
  const truth = new GroundTruth()
  const host = new SimulatedHost({
    random: random.fork("order"),
    stride: shape.stride,
    startedAt: shape.startedAt,
  })
  const now = (): number => host.now()
  let violation: Violation | null = null
  const violate = (invariant: number, message: string): void => {
    trace.note(now(), `VIOLATION of invariant ${invariant}: ${message}`)
    violation ??= { invariant, message, at: now() }
  }
  const weather = new Weather((fault) => trace.note(now(), `struck by ${fault.kind} #${fault.id}`))
  const watch = new LedgerWatch({
    truth,
    policy: shape.policy,
    maxContainers: shape.maxContainers,
    now,
    wall: () => host.wall(),
    violate,
  })
  const containers = new ContainerWatch({ truth, watch, shape, now, violate })

  // Outside of the daemon: the plan, the engine with its containers, the disks.
  const outside = host.spawn("outside")
  const after = (ms: number, task: () => void): void => void outside.after(ms, task)
  const moods = new Moods((fault) => weather.count(fault))
  const machine = buildMachine(
    host,
    simulatedAgent({
      truth,
      random: random.fork("agents"),
      pollMs: shape.agentPollMs,
      now,
      strike: (session, moment) => moods.take(sessionName(sessionIndex(session)), moment),
      isPoisoned: (id) => moods.isPoison(id),
      poison: (id) => moods.makePoison(id),
      foreignIds: (session) =>
        [...watch.messages.values()]
          .filter((message) => message.sessionId !== session)
          .slice(-3)
          .map(({ id }) => id),
      foreignTask: (session) =>
        [...watch.series.values()].find(
          // An isolated run may change the tasks of the session that it was made for.
          (task) => task.sessionId !== sessionName(sessionIndex(session)),
        )?.id ?? null,
      isRebooting: () => havoc.isRebooting(),
      broken: (session, incarnation, message) => {
        // A container that nobody waits for any more may find its files gone.
        if (watch.incarnations.get(GroundTruth.key(session, incarnation))?.phase !== "ended")
          violate(3, message)
      },
    }),
  )
  const engine = Context.get(machine.context, SimulatedEngine)
  const driver = Context.get(machine.context, LedgerDriver)

  let current: SimulatedDaemon | null = null
  let lives = 0
  let crashPoints = 0
  let stopping: (() => void) | null = null

  const boot = (): void => {
    if (current !== null) return
    lives += 1
    const process = host.spawn(`daemon-${lives}`)
    trace.note(now(), `daemon ${lives} starts`)
    const faulty: FaultyWorld = {
      weather,
      truth,
      watch,
      random: random.fork(`faults-${lives}`),
      violate,
      now,
      sessionIndex,
      homeOf: (session) => sessionName(sessionIndex(session)),
      beforeSignal: (ref, name) => {
        trace.note(now(), `${name} to ${ref.labels.session}/${ref.labels.incarnation}`)
        containers.beforeSignal(ref, name)
      },
      isAlive: process.isAlive,
      inEngine: machine.later,
    }
    const layers: DaemonLayers = {
      ledger: faultyLedger(driver, faulty),
      mailbox: faultyMailbox(Context.get(machine.context, Mailbox), faulty),
      workspace: faultyWorkspace(Context.get(machine.context, Workspace), faulty),
      channels: faultyChannels(faulty),
      engine,
      runtime: (plain) => faultyRuntime(plain, engine, faulty),
    }
    const sabotaged = options.sabotage?.(layers) ?? layers
    const calmly = (operation: string): void => {
      trace.note(now(), `${operation} is made to fail`)
      truth.excuses += 1
      truth.troubledAt = now()
    }
    current = bootDaemon({
      process,
      random: random.fork(`daemon-${lives}`),
      layers: options.nth === undefined ? sabotaged : failingTheNth(sabotaged, options.nth, calmly),
      policy: { ...shape.policy, ...options.misleading },
      limits: {
        ...defaultHostLimits,
        maxContainers: shape.maxContainers,
        historyRetentionMs: shape.historyRetentionMs,
      },
      zone: shape.zone,
      sweepIntervalMs: shape.sweepIntervalMs,
      pollIntervalMs: shape.pollIntervalMs,
      onCrashPoint: (name) => {
        crashPoints += 1
        trace.note(now(), name)
        return havoc.atCrashPoint(name)
      },
      onLog: (line) => trace.note(now(), `log: ${line}`),
      onReady: () => {
        truth.troubledAt = now()
        after(0, () => operators.settle())
      },
      onEnd: ended,
    })
  }

  /** The daemon came to its own end. Something starts it again, as systemd would. */
  const ended = (failure: string | null): void => {
    trace.note(now(), failure === null ? "daemon ended" : `daemon failed: ${failure}`)
    const stopped = stopping
    stopping = null
    truth.excuses += 1
    truth.troubledAt = now()
    current?.kill()
    current = null
    if (stopped !== null) return stopped()
    if (failure !== null && !/LedgerError|ledger/.test(failure)) violate(0, `the daemon failed: ${failure}`)
    after(SECOND_MS, boot)
  }

  const crash = (ms: number, why: string): void => {
    if (current === null) return
    trace.note(now(), `daemon killed ${why}`)
    truth.excuses += 1
    truth.troubledAt = now()
    current.kill()
    current = null
    stopping = null
    havoc.disarm()
    after(ms, boot)
  }

  const stop = (fault: Fault): void => {
    if (current === null || stopping !== null) return
    weather.count(fault)
    const life = current
    stopping = () => after(fault.ms, boot)
    life.stop()
    after(STOP_LIMIT_MS, () => {
      if (current !== life || stopping === null) return
      if (now() - truth.troubledAt > STOP_LIMIT_MS) violate(12, "the daemon does not stop")
      crash(fault.ms, "because it would not stop")
    })
  }

  const world: World = {
    options,
    host,
    truth,
    watch,
    weather,
    trace,
    engine,
    driver,
    violate,
    violation: () => violation,
    daemon: () => current,
    crash,
    after,
    get operators(): Operators {
      return operators
    },
    calm: () => {
      moods.clear()
      weather.clear()
      havoc.disarm()
      Effect.runSync(Effect.all([engine.up, engine.showExits]))
    },
    setBackMs: () => havoc.setBackMs(),
  }
  const operators = makeOperators(world)
  const havoc = makeHavoc({
    host,
    trace,
    truth,
    weather,
    moods,
    engine,
    after,
    isUp: () => current !== null,
    crash,
    stop,
    meddle: operators.meddle,
  })

  const tick = (): void => {
    containers.tick(weather.isFair(now()) && current !== null)
    watch.tick(truth.troubledAt)
    watch.tasks.tick(truth.troubledAt, shape.pollIntervalMs + havoc.setBackMs())
    truth.forget(now() - 6 * HOUR_MS)
    after(TICK_MS, tick)
  }

  const offset = zoneOffset(shape.zone, host.wall())
  let changes = 0
  Effect.runSync(
    Effect.provideService(
      engine.listen((event) => {
        if (event._tag === "Exited") {
          trace.note(now(), `exit of ${event.ref.labels.session}/${event.ref.labels.incarnation}`)
          if (event.exit.exitCode === null && event.exit.signal === null) weather.strike("exit-hidden", now())
        }
        current?.tell(event)
      }),
      Scope.Scope,
      machine.scope,
    ),
  )
  for (const fault of options.faults) after(fault.at, () => havoc.begin(fault))
  operators.plan()
  after(0, boot)
  after(TICK_MS, tick)

  const isOver = (): boolean => violation !== null
  try {
    host.runUntil(Math.round(shape.days * 24 * HOUR_MS), isOver)
    options.nth?.close()
    if (!isOver()) converge(world, (until) => host.runUntil(until, isOver))
  } catch (cause) {
    violate(0, cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
  }
  if (watch.series.size > 0 && zoneOffset(shape.zone, host.wall()) !== offset) changes += 1
  outside.kill()
  const last = current as SimulatedDaemon | null
  last?.kill()
  machine.close()
  return {
    violation,
    struck: new Map<FaultKind | "clock-change", number>([...weather.struck, ["clock-change", changes]]),
    sights: watch.tasks.sights,
    trace,
    elapsedMs: now(),
    tasks: host.tasks,
    commits: watch.commits,
    crashPoints,
    messages: watch.messages.size,
  }
}

const zoneOffset = (zone: string, at: number): string =>
  new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" })
    .formatToParts(at)
    .find(({ type }) => type === "timeZoneName")?.value ?? ""
