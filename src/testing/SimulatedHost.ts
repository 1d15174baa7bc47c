/**
 * A host that exists only in memory: one processor, one clock, and processes whose fibers it runs in an order that a seed chooses.
 * A process can be killed as by SIGKILL: nothing of it ever runs again, no finalizer and no timer. Time stands still while
 * anything can run, and then jumps to the next timer; so a day costs only what happens in it.
 */
import { type Clock, Duration, Effect, type Scheduler } from "effect"
import type { SeededRandom } from "./SeededRandom.ts"

interface Timer {
  readonly at: number
  readonly process: SimulatedProcess
  task: (() => void) | null
}

/** Tasks that may run at one instant: beyond, something spins. */
const MAX_TASKS_PER_INSTANT = 200_000

export interface SimulatedProcess {
  readonly name: string
  readonly isAlive: () => boolean
  /** Nothing of it ever runs again. */
  readonly kill: () => void
  readonly scheduler: Scheduler.Scheduler
  readonly clock: Clock.Clock
  /** Runs `task` after `ms` of elapsed time, if the process still lives then. */
  readonly after: (ms: number, task: () => void) => () => void
  /** Timers that wait now. */
  readonly timers: () => number
}

/** The world stopped making sense: a bug of the simulation, or a loop in what it runs. */
export class HostStalled extends Error {
  override readonly name = "HostStalled"
}

export class SimulatedHost {
  private readonly random: SeededRandom
  private readonly stride: number
  private readonly runnable: Array<readonly [owner: SimulatedProcess, task: () => void]> = []
  /** The next one last; of those at one instant the oldest last. */
  private readonly timers: Array<Timer> = []
  private elapsed = 0
  private skew: number
  private untilYield = 1
  /** Tasks run so far. */
  tasks = 0

  /** `stride`: a fiber gives way to others after at most this many steps. `startedAt`: the wall clock at the start. */
  constructor(options: {
    readonly random: SeededRandom
    readonly stride: number
    readonly startedAt: number
  }) {
    this.random = options.random
    this.stride = options.stride
    this.skew = options.startedAt
  }

  /** Milliseconds since the world began: what a monotonic clock shows. */
  now(): number {
    return this.elapsed
  }

  /** What the wall clock shows. */
  wall(): number {
    return this.elapsed + this.skew
  }

  /** Somebody sets the wall clock. Sleeps go on as they were. */
  jump(ms: number): void {
    this.skew += ms
  }

  spawn(name: string): SimulatedProcess {
    let alive = true
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => {
        if (alive) this.ready(process, task)
      },
      flush: () => {},
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: () => !alive || --this.untilYield <= 0,
      makeDispatcher: () => dispatcher,
    }
    const process: SimulatedProcess = {
      name,
      isAlive: () => alive,
      kill: () => {
        alive = false
      },
      scheduler,
      after: (ms, task) => {
        if (!alive || ms === Infinity) return () => {}
        const timer: Timer = { at: this.elapsed + Math.max(0, ms), process, task }
        this.push(timer)
        return () => {
          timer.task = null
        }
      },
      timers: () => this.timers.filter((timer) => timer.process === process && timer.task !== null).length,
      clock: this.clockOf(() => process),
    }
    return process
  }

  /** Runs everything that is due up to `until` (elapsed), in the order that the seed chooses, and leaves the clock there. */
  runUntil(until: number, watch?: () => boolean): void {
    let atThisInstant = 0
    while (true) {
      while (this.runnable.length > 0) {
        if (++atThisInstant > MAX_TASKS_PER_INSTANT) {
          throw new HostStalled(
            `${MAX_TASKS_PER_INSTANT} tasks ran at ${this.elapsed} ms and there is no end`,
          )
        }
        this.runOne()
      }
      if (watch?.() === true) return
      const next = this.peek()
      if (next === undefined || next.at > until) break
      atThisInstant = 0
      this.elapsed = Math.max(this.elapsed, next.at)
      for (let due = this.peek(); due !== undefined && due.at <= this.elapsed; due = this.peek()) {
        this.timers.pop()
        const { task } = due
        due.task = null
        if (task !== null && due.process.isAlive()) this.ready(due.process, task)
      }
    }
    this.elapsed = Math.max(this.elapsed, until)
  }

  private runOne(): void {
    const { runnable } = this
    const index = runnable.length === 1 ? 0 : this.random.below(runnable.length)
    const chosen = runnable[index]
    const last = runnable.pop()
    if (chosen === undefined || last === undefined) return
    if (index < runnable.length) runnable[index] = last
    const [owner, task] = chosen
    if (!owner.isAlive()) return
    this.untilYield = 1 + this.random.below(this.stride)
    this.tasks += 1
    task()
  }

  private ready(process: SimulatedProcess, task: () => void): void {
    this.runnable.push([process, task])
  }

  private clockOf(owner: () => SimulatedProcess): Clock.Clock {
    const wall = (): number => this.wall()
    const wallNanos = (): bigint => BigInt(this.wall()) * 1_000_000n
    const monotonicNanos = (): bigint => BigInt(this.elapsed) * 1_000_000n
    return {
      currentTimeMillisUnsafe: wall,
      currentTimeMillis: Effect.sync(wall),
      currentTimeNanosUnsafe: wallNanos,
      currentTimeNanos: Effect.sync(wallNanos),
      monotonicTimeNanosUnsafe: monotonicNanos,
      monotonicTimeNanos: Effect.sync(monotonicNanos),
      sleep: (duration) => {
        const ms = Math.ceil(Duration.toMillis(duration))
        if (ms <= 0) return Effect.yieldNow
        return Effect.callback<void>((resume) => {
          const cancel = owner().after(ms, () => resume(Effect.void))
          return Effect.sync(cancel)
        })
      },
    }
  }

  private peek(): Timer | undefined {
    for (let next = this.timers.at(-1); next !== undefined; next = this.timers.at(-1)) {
      if (next.task !== null && next.process.isAlive()) return next
      this.timers.pop()
    }
    return undefined
  }

  private push(timer: Timer): void {
    let low = 0
    let high = this.timers.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.timers[middle] as Timer).at > timer.at) low = middle + 1
      else high = middle
    }
    this.timers.splice(low, 0, timer)
  }
}

/** Never comes back: what a killed process sees of everything. */
export const neverAgain: Effect.Effect<never> = Effect.callback<never>(() => {})
