/** Does to a simulated world what its plan says: each fault, at its time, to whom it strikes. */
import { Effect } from "effect"
import { SECOND_MS } from "../domain/Instant.ts"
import type { DaemonLives } from "./DaemonLives.ts"
import { AGENT_FAULTS, describeFault, type Fault } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import type { Operators } from "./Operators.ts"
import type { Moods } from "./Weather.ts"
import { sessionName } from "./WorldShape.ts"

const CONTAINER_PATIENCE_MS = 20 * SECOND_MS
const CONTAINER_LOOKS = 100

/** Whom faults strike. */
export interface Victims {
  readonly ground: Ground
  readonly lives: DaemonLives
  readonly moods: Moods
  readonly operators: Operators
}

/** Agents do as they should from now on, and everything is up. */
export const calm = ({ ground, lives, moods }: Victims): void => {
  moods.clear()
  ground.weather.clear()
  lives.disarm()
  Effect.runSync(Effect.all([ground.engine.up, ground.engine.showExits]))
}

/** Begins one fault of the plan. */
export const wreak = (victims: Victims, fault: Fault): void => {
  const { ground, lives, moods, operators } = victims
  ground.note(`fault ${describeFault(fault)}`)
  switch (fault.kind) {
    case "daemon-crash":
      return lives.arm(fault)
    case "daemon-stop":
      return lives.stop(fault)
    case "host-reboot":
      return reboot(victims, fault)
    case "oom-kill":
    case "killed-outside":
      return strikeContainer(ground, fault, CONTAINER_LOOKS)
    case "clock-forward":
      return setClock(ground, fault, fault.ms)
    case "clock-backward":
      return setClock(ground, fault, -fault.ms)
    case "engine-down":
      return engineDown(ground, fault)
    case "exit-hidden":
      return during(ground, fault, ground.engine.hideExits, ground.engine.showExits)
    default:
      if (AGENT_FAULTS.some((kind) => kind === fault.kind))
        return moods.add(sessionName(fault.session), fault)
      return fault.kind.startsWith("operator-")
        ? operators.meddle(fault)
        : ground.weather.begin(fault, ground.now())
  }
}

const reboot = ({ ground, lives }: Victims, fault: Fault): void => {
  const { engine, now, truth, weather } = ground
  weather.count(fault)
  lives.crash(fault.ms, "by a reboot")
  for (const container of truth.containers.values()) {
    if (container.diedAt !== null) continue
    container.death = "reboot"
    container.diedAt = now()
  }
  truth.mark("reboot")
  truth.rebooting = true
  Effect.runSync(engine.reboot)
  truth.rebooting = false
}

/** Kills the session's container from outside, as soon as it has one. */
const strikeContainer = (ground: Ground, fault: Fault, looks: number): void => {
  const { after, engine, truth, weather } = ground
  const session = sessionName(fault.session)
  const container = truth.living(session)
  if (container === undefined || container.death !== null) {
    if (looks > 0) after(CONTAINER_PATIENCE_MS, () => strikeContainer(ground, fault, looks - 1))
    return
  }
  container.death = "outside"
  weather.count(fault)
  Effect.runSync(fault.kind === "oom-kill" ? engine.oomKill(session) : engine.killOutside(session))
}

const setClock = ({ host, truth, weather }: Ground, fault: Fault, ms: number): void => {
  host.jump(ms)
  truth.setBackMs += Math.max(0, -ms)
  truth.mark("trouble")
  truth.mark("jump")
  weather.count(fault)
}

export const engineDown = (ground: Ground, fault: Fault): void => {
  const { engine, truth } = ground
  during(ground, fault, engine.down, engine.up, () => truth.mark("trouble"))
}

/** The engine is so until no fault of this kind is in force any more. `also`: at the beginning and at the end. */
const during = (
  { after, now, weather }: Ground,
  fault: Fault,
  begin: Effect.Effect<void>,
  end: Effect.Effect<void>,
  also: () => void = () => {},
): void => {
  weather.begin(fault, now())
  also()
  Effect.runSync(begin)
  after(fault.ms, () => {
    also()
    if (weather.find(fault.kind, now()) === null) Effect.runSync(end)
  })
}
