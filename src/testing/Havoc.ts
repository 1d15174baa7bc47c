/** Does to a simulated world what its plan says: each fault, at its time, to whom it strikes. */
import { Effect } from "effect"
import { MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import type { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { AGENT_FAULTS, describeFault, type Fault } from "./FaultPlan.ts"
import type { GroundTruth } from "./GroundTruth.ts"
import type { Moods } from "./Moods.ts"
import { sessionName } from "./Operators.ts"
import type { SimulatedHost } from "./SimulatedHost.ts"
import type { Trace } from "./Trace.ts"
import type { Weather } from "./Weather.ts"

/** What the faults need of the world that they strike. */
export interface HavocOptions {
  readonly host: SimulatedHost
  readonly trace: Trace
  readonly truth: GroundTruth
  readonly weather: Weather
  readonly moods: Moods
  readonly engine: SimulatedEngine["Service"]
  readonly after: (ms: number, task: () => void) => void
  readonly isUp: () => boolean
  readonly crash: (ms: number, why: string) => void
  readonly stop: (fault: Fault) => void
  readonly meddle: (fault: Fault) => void
}

export interface Havoc {
  readonly begin: (fault: Fault) => void
  /** Whether the crash point that is passed now is the one that a fault waits for; then the daemon is dead. */
  readonly atCrashPoint: (name: string) => "go-on" | "die"
  readonly isRebooting: () => boolean
  /** By how much the wall clock was ever set back. */
  readonly setBackMs: () => number
  /** No crash waits any more. */
  readonly disarm: () => void
}

/** A crash that finds no crash point in this time comes between two. */
const CRASH_PATIENCE_MS = 5 * MINUTE_MS
const CONTAINER_PATIENCE_MS = 20 * SECOND_MS
const CONTAINER_LOOKS = 100

export const makeHavoc = (options: HavocOptions): Havoc => {
  const { after, crash, engine, host, moods, trace, truth, weather } = options
  const now = (): number => host.now()
  let armed: { readonly fault: Fault; left: number } | null = null
  let rebooting = false
  let setBackMs = 0

  const arm = (fault: Fault): void => {
    if (!options.isUp()) return
    const mine = { fault, left: fault.nth }
    armed = mine
    after(CRASH_PATIENCE_MS, () => {
      if (armed !== mine) return
      armed = null
      weather.count(fault)
      crash(fault.ms, "between two crash points")
    })
  }

  const reboot = (fault: Fault): void => {
    weather.count(fault)
    crash(fault.ms, "by a reboot")
    for (const container of truth.containers.values()) {
      if (container.diedAt !== null) continue
      container.death = "reboot"
      container.diedAt = now()
    }
    truth.rebootedAt = now()
    rebooting = true
    Effect.runSync(engine.reboot)
    rebooting = false
  }

  /** Kills the session's container from outside, as soon as it has one. */
  const strikeContainer = (fault: Fault, looks: number): void => {
    const session = sessionName(fault.session)
    const container = truth.living(session)
    if (container === undefined || container.death !== null) {
      if (looks > 0) after(CONTAINER_PATIENCE_MS, () => strikeContainer(fault, looks - 1))
      return
    }
    container.death = "outside"
    weather.count(fault)
    Effect.runSync(fault.kind === "oom-kill" ? engine.oomKill(session) : engine.killOutside(session))
  }

  const setClock = (fault: Fault, ms: number): void => {
    host.jump(ms)
    setBackMs += Math.max(0, -ms)
    truth.troubledAt = now()
    truth.jumpedAt = now()
    weather.count(fault)
  }

  const engineDown = (fault: Fault): void => {
    weather.begin(fault, now())
    truth.troubledAt = now()
    Effect.runSync(engine.down)
    after(fault.ms, () => {
      truth.troubledAt = now()
      if (weather.find("engine-down", now()) === null) Effect.runSync(engine.up)
    })
  }

  const hideExits = (fault: Fault): void => {
    weather.begin(fault, now())
    Effect.runSync(engine.hideExits)
    after(fault.ms, () => {
      if (weather.find("exit-hidden", now()) === null) Effect.runSync(engine.showExits)
    })
  }

  const begin = (fault: Fault): void => {
    trace.note(now(), `fault ${describeFault(fault)}`)
    switch (fault.kind) {
      case "daemon-crash":
        return arm(fault)
      case "daemon-stop":
        return options.stop(fault)
      case "host-reboot":
        return reboot(fault)
      case "oom-kill":
      case "killed-outside":
        return strikeContainer(fault, CONTAINER_LOOKS)
      case "clock-forward":
        return setClock(fault, fault.ms)
      case "clock-backward":
        return setClock(fault, -fault.ms)
      case "engine-down":
        return engineDown(fault)
      case "exit-hidden":
        return hideExits(fault)
      default:
        if (AGENT_FAULTS.some((kind) => kind === fault.kind)) {
          return moods.add(sessionName(fault.session), fault)
        }
        return fault.kind.startsWith("operator-") ? options.meddle(fault) : weather.begin(fault, now())
    }
  }

  return {
    begin,
    atCrashPoint: (name) => {
      if (armed === null || --armed.left > 0) return "go-on"
      const { fault } = armed
      armed = null
      weather.count(fault)
      crash(fault.ms, `at ${name}`)
      return "die"
    },
    isRebooting: () => rebooting,
    setBackMs: () => setBackMs,
    disarm: () => {
      armed = null
    },
  }
}
