/**
 * The lives of the daemon in a simulated world: it is booted, killed at a crash point or between two, stopped, and started again on the
 * same ledger, as systemd would.
 */
import { MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import type { CrashPointName } from "../services/CrashPoint.ts"
import type { Fault } from "./FaultPlan.ts"
import { faultyLayers, type FaultyWorld } from "./FaultyLayers.ts"
import type { Ground } from "./Ground.ts"
import {
  bootDaemon,
  type DaemonLayers,
  type DaemonSettings,
  type SimulatedDaemon,
} from "./SimulatedDaemon.ts"

export interface LivesOptions extends DaemonSettings, Pick<FaultyWorld, "homeOf" | "beforeSignal"> {
  /** What a test puts between the weather and the daemon. */
  readonly refine?: (layers: DaemonLayers) => DaemonLayers
  /** Called whenever a daemon is up. */
  readonly onReady: () => void
}

/** A stop that takes longer than this, with nothing in its way, is a bug. */
const STOP_LIMIT_MS = 5 * MINUTE_MS
/** A crash that finds no crash point in this time comes between two. */
const CRASH_PATIENCE_MS = 5 * MINUTE_MS

export class DaemonLives {
  private readonly ground: Ground
  private readonly options: LivesOptions
  /** The one that runs now. */
  current: SimulatedDaemon | null = null
  private count = 0
  /** Crash points passed. */
  crashPoints = 0
  /** The crash that waits for its crash point. */
  private armed: { readonly fault: Fault; left: number } | null = null
  private stopping: (() => void) | null = null

  constructor(ground: Ground, options: LivesOptions) {
    this.ground = ground
    this.options = options
    ground.listen((event) => {
      if (event._tag === "Exited") {
        ground.note(`exit of ${event.ref.labels.session}/${event.ref.labels.incarnation}`)
        if (event.exit.exitCode === null && event.exit.signal === null)
          ground.weather.strike("exit-hidden", ground.now())
      }
      this.current?.tell(event)
    })
  }

  readonly boot = (): void => {
    if (this.current !== null) return
    this.count += 1
    const { ground, options } = this
    const process = ground.host.spawn(`daemon-${this.count}`)
    ground.note(`daemon ${this.count} starts`)
    const layers = faultyLayers({
      ground,
      random: ground.random.fork(`faults-${this.count}`),
      isAlive: process.isAlive,
      homeOf: options.homeOf,
      beforeSignal: (ref, name) => {
        ground.note(`${name} to ${ref.labels.session}/${ref.labels.incarnation}`)
        options.beforeSignal(ref, name)
      },
    })
    this.current = bootDaemon({
      ...options,
      process,
      random: ground.random.fork(`daemon-${this.count}`),
      layers: options.refine?.(layers) ?? layers,
      onCrashPoint: this.atCrashPoint,
      onLog: (line) => ground.note(`log: ${line}`),
      onReady: () => {
        ground.truth.mark("trouble")
        ground.after(0, options.onReady)
      },
      onEnd: this.ended,
    })
  }

  /** Kills it here and now, and starts it again after `ms`. */
  crash(ms: number, why: string): void {
    if (this.current === null) return
    this.ground.note(`daemon killed ${why}`)
    this.stopping = null
    this.disarm()
    this.bury()
    this.ground.after(ms, this.boot)
  }

  /** As by SIGTERM; started again some time after it has ended. */
  stop(fault: Fault): void {
    const life = this.current
    if (life === null || this.stopping !== null) return
    const { after, now, truth, violate, weather } = this.ground
    weather.count(fault)
    this.stopping = () => after(fault.ms, this.boot)
    life.stop()
    after(STOP_LIMIT_MS, () => {
      if (this.current !== life || this.stopping === null) return
      if (now() - truth.last("trouble") > STOP_LIMIT_MS) violate(12, "the daemon does not stop")
      this.crash(fault.ms, "because it would not stop")
    })
  }

  /** Crashes it at the how-manieth crash point from now. */
  arm(fault: Fault): void {
    if (this.current === null) return
    const mine = { fault, left: fault.nth }
    this.armed = mine
    this.ground.after(CRASH_PATIENCE_MS, () => {
      if (this.armed !== mine) return
      this.disarm()
      this.ground.weather.count(fault)
      this.crash(fault.ms, "between two crash points")
    })
  }

  /** No crash waits any more. */
  disarm(): void {
    this.armed = null
  }

  /** For good. */
  end(): void {
    this.current?.kill()
  }

  private readonly atCrashPoint = (name: CrashPointName): "go-on" | "die" => {
    this.crashPoints += 1
    this.ground.note(name)
    if (this.armed === null || --this.armed.left > 0) return "go-on"
    const { fault } = this.armed
    this.disarm()
    this.ground.weather.count(fault)
    this.crash(fault.ms, `at ${name}`)
    return "die"
  }

  /** The daemon came to its own end. Something starts it again, as systemd would. */
  private readonly ended = (failure: string | null): void => {
    const { after, note, violate } = this.ground
    note(failure === null ? "daemon ended" : `daemon failed: ${failure}`)
    const stopped = this.stopping
    this.stopping = null
    this.bury()
    if (stopped !== null) return stopped()
    if (failure !== null && !/LedgerError|ledger/.test(failure)) violate(0, `the daemon failed: ${failure}`)
    after(SECOND_MS, this.boot)
  }

  private bury(): void {
    this.ground.truth.interrupt()
    this.current?.kill()
    this.current = null
  }
}
