/**
 * A whole Lamplighter in a seeded world: the daemon's unmodified services on a simulated host, engine, exchange and channel, with the
 * ledger as real SQLite in memory. Faults come from a plan, a crash stops the daemon at a crash point and starts it again on
 * the same ledger, and the invariants of docs/simulation.md are checked all the while. First a safety phase with faults, then a
 * quiet phase that must converge. The same seed, shape and plan give the same run, to the last line of the trace.
 */
import { Cause } from "effect"
import { HOUR_MS } from "../domain/Instant.ts"
import { defaultHostLimits, type Policy } from "../domain/Policy.ts"
import { judgeSignal, judgeSilence } from "./ContainerWatch.ts"
import { converge } from "./Convergence.ts"
import { DaemonLives } from "./DaemonLives.ts"
import { failingTheNth, type NthCall } from "./FailTheNth.ts"
import type { Fault, FaultKind } from "./FaultPlan.ts"
import { Ground } from "./Ground.ts"
import type { Violation } from "./GroundTruth.ts"
import { wreak } from "./Havoc.ts"
import { furnishWorld, Operators } from "./Operators.ts"
import { Requests } from "./Requests.ts"
import { simulatedAgent } from "./SimulatedAgent.ts"
import type { DaemonLayers } from "./SimulatedDaemon.ts"
import type { SeriesSight } from "./SeriesWatch.ts"
import type { Trace } from "./Trace.ts"
import { Moods } from "./Weather.ts"
import { homeOf, type WorldShape } from "./WorldShape.ts"

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

/** Often enough that what waits for a minute is seen waiting. */
const TICK_MS = 90_000
/** Somebody who asks the daemon in vain comes back after this. */
const RETRY_MS = 30_000

/** What stands between the weather and the daemon of this world. */
const refining =
  ({ nth, sabotage }: WorldOptions, { note, truth }: Ground) =>
  (layers: DaemonLayers): DaemonLayers => {
    const sabotaged = sabotage?.(layers) ?? layers
    if (nth === undefined) return sabotaged
    return failingTheNth(sabotaged, nth, (operation) => {
      note(`${operation} is made to fail`)
      truth.interrupt()
    })
  }

/** A world with everybody in it, before its first instant. */
const populate = (options: WorldOptions) => {
  const { shape } = options
  const moods: Moods = new Moods((fault) => ground.weather.count(fault))
  const ground: Ground = new Ground({
    ...options,
    ...shape,
    trace: options.trace ?? "last",
    script: (made) => simulatedAgent({ ground: made, shape, moods }),
  })
  const lives = new DaemonLives(ground, {
    ...shape,
    policy: { ...shape.policy, ...options.misleading },
    limits: {
      ...defaultHostLimits,
      maxContainers: shape.maxContainers,
      historyRetentionMs: shape.historyRetentionMs,
    },
    homeOf,
    beforeSignal: (ref, name) => judgeSignal({ ...ground, shape }, ref, name),
    refine: refining(options, ground),
    onReady: () => requests.settle(),
  })
  const requests = new Requests({
    ground,
    lives,
    furnish: furnishWorld(shape),
    retryMs: RETRY_MS,
    onRefused: (what, cause) => ground.violate(1, `${what} was refused: ${Cause.pretty(cause)}`),
  })
  const operators = new Operators(ground, requests, shape)
  return { ground, lives, operators, moods, shape }
}

export const runWorld = (options: WorldOptions): Outcome => {
  const { shape } = options
  const world = populate(options)
  const { ground, lives, operators } = world
  const { after, host, now, trace, truth, violations, wall, watch, weather } = ground
  const tick = (): void => {
    judgeSilence({ ...ground, shape }, weather.isFair(now()) && lives.current !== null)
    watch.tick(truth.last("trouble"))
    watch.tasks.tick(truth.last("trouble"), shape.pollIntervalMs + truth.setBackMs)
    truth.forget(now() - 6 * HOUR_MS)
    after(TICK_MS, tick)
  }
  const offset = zoneOffset(shape.zone, wall())
  for (const fault of options.faults) after(fault.at, () => wreak(world, fault))
  operators.plan()
  after(0, lives.boot)
  after(TICK_MS, tick)

  const isOver = (): boolean => violations.length > 0
  const until = (at: number): boolean => {
    host.runUntil(at, isOver)
    return !isOver()
  }
  try {
    const goesOn = until(Math.round(shape.days * 24 * HOUR_MS))
    if (options.nth !== undefined) options.nth.open = false
    if (goesOn) converge({ ...world, until })
  } catch (cause) {
    ground.violate(0, cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
  }
  const changes = watch.series.size > 0 && zoneOffset(shape.zone, wall()) !== offset ? 1 : 0
  lives.end()
  ground.close()
  return {
    // A world stops at its first one.
    violation: violations[0] ?? null,
    struck: new Map<FaultKind | "clock-change", number>([...weather.struck, ["clock-change", changes]]),
    sights: watch.tasks.sights,
    trace,
    elapsedMs: now(),
    tasks: host.tasks,
    commits: watch.commits,
    crashPoints: lives.crashPoints,
    messages: watch.messages.size,
  }
}

const zoneOffset = (zone: string, at: number): string =>
  new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" })
    .formatToParts(at)
    .find(({ type }) => type === "timeZoneName")?.value ?? ""
