/**
 * A host that exists only in memory: one processor, one clock, and processes whose fibers it runs in an order that a seed chooses.
 * A process can be killed as by SIGKILL: nothing of it ever runs again, no finalizer and no timer. Time stands still while
 * anything can run, and then jumps to the next timer; so a day costs only what happens in it.
 */
import { type Clock, Duration, Effect, type Scheduler } from "effect"
import type { SeededRandom } from "./SeededRandom.ts"

interface Timer {
  readonly at: number
  readonly order: number
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
  private readonly readyTasks: Array<() => void> = []
  private readonly readyOwners: Array<SimulatedProcess> = []
  private heap: Array<Timer> = []
  private order = 0
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
    let waiting = 0
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
        waiting += 1
        const timer: Timer = {
          at: this.elapsed + Math.max(0, ms),
          order: this.order++,
          process,
          task: () => {
            waiting -= 1
            task()
          },
        }
        this.push(timer)
        return () => {
          if (timer.task === null) return
          timer.task = null
          waiting -= 1
        }
      },
      timers: () => waiting,
      clock: this.clockOf(() => process),
    }
    return process
  }

  /** Runs everything that is due up to `until` (elapsed), in the order that the seed chooses, and leaves the clock there. */
  runUntil(until: number, watch?: () => boolean): void {
    let atThisInstant = 0
    while (true) {
      while (this.readyTasks.length > 0) {
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
        this.pop()
        const { task } = due
        due.task = null
        if (task !== null && due.process.isAlive()) this.ready(due.process, task)
      }
    }
    this.elapsed = Math.max(this.elapsed, until)
  }

  private runOne(): void {
    const last = this.readyTasks.length - 1
    const index = last === 0 ? 0 : this.random.below(last + 1)
    const task = this.readyTasks[index]
    const owner = this.readyOwners[index]
    this.readyTasks[index] = this.readyTasks[last] as () => void
    this.readyOwners[index] = this.readyOwners[last] as SimulatedProcess
    this.readyTasks.pop()
    this.readyOwners.pop()
    if (task === undefined || owner === undefined || !owner.isAlive()) return
    this.untilYield = 1 + this.random.below(this.stride)
    this.tasks += 1
    task()
  }

  private ready(process: SimulatedProcess, task: () => void): void {
    this.readyTasks.push(task)
    this.readyOwners.push(process)
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
    while (this.heap.length > 0) {
      const first = this.heap[0] as Timer
      if (first.task !== null && first.process.isAlive()) return first
      this.pop()
    }
    return undefined
  }

  private push(timer: Timer): void {
    const { heap } = this
    let index = heap.length
    heap.push(timer)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(timer, heap[parent] as Timer)) break
      heap[index] = heap[parent] as Timer
      index = parent
    }
    heap[index] = timer
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    while (true) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Timer, heap[child] as Timer)) child += 1
      if (!before(heap[child] as Timer, last)) break
      heap[index] = heap[child] as Timer
      index = child
    }
    heap[index] = last
  }
}

const before = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order)

/** Never comes back: what a killed process sees of everything. */
export const neverAgain: Effect.Effect<never> = Effect.callback<never>(() => {})
