/** Does to a simulated world what its plan says: each fault, at its time, to whom it strikes. */
import { Effect } from "effect"
import { SECOND_MS } from "../domain/Instant.ts"
import type { DaemonLives } from "./DaemonLives.ts"
import { AGENT_FAULTS, describeFault, type Fault } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import type { Moods } from "./Weather.ts"
import { sessionName } from "./WorldShape.ts"

const CONTAINER_PATIENCE_MS = 20 * SECOND_MS
const CONTAINER_LOOKS = 100

export class Havoc {
  private readonly ground: Ground
  private readonly lives: DaemonLives
  private readonly moods: Moods
  private readonly meddle: (fault: Fault) => void
  private rebooting = false
  private setBack = 0

  constructor(ground: Ground, lives: DaemonLives, moods: Moods, meddle: (fault: Fault) => void) {
    this.ground = ground
    this.lives = lives
    this.moods = moods
    this.meddle = meddle
  }

  isRebooting(): boolean {
    return this.rebooting
  }

  /** By how much the wall clock was ever set back. */
  setBackMs(): number {
    return this.setBack
  }

  /** Agents do as they should from now on, and everything is up. */
  calm(): void {
    this.moods.clear()
    this.ground.weather.clear()
    this.lives.disarm()
    Effect.runSync(Effect.all([this.ground.engine.up, this.ground.engine.showExits]))
  }

  begin(fault: Fault): void {
    const { note, now, weather } = this.ground
    note(`fault ${describeFault(fault)}`)
    switch (fault.kind) {
      case "daemon-crash":
        return this.lives.arm(fault)
      case "daemon-stop":
        return this.lives.stop(fault)
      case "host-reboot":
        return this.reboot(fault)
      case "oom-kill":
      case "killed-outside":
        return this.strikeContainer(fault, CONTAINER_LOOKS)
      case "clock-forward":
        return this.setClock(fault, fault.ms)
      case "clock-backward":
        return this.setClock(fault, -fault.ms)
      case "engine-down":
        return this.engineDown(fault)
      case "exit-hidden":
        return this.hideExits(fault)
      default:
        if (AGENT_FAULTS.some((kind) => kind === fault.kind))
          return this.moods.add(sessionName(fault.session), fault)
        return fault.kind.startsWith("operator-") ? this.meddle(fault) : weather.begin(fault, now())
    }
  }

  private reboot(fault: Fault): void {
    const { engine, now, truth, weather } = this.ground
    weather.count(fault)
    this.lives.crash(fault.ms, "by a reboot")
    for (const container of truth.containers.values()) {
      if (container.diedAt !== null) continue
      container.death = "reboot"
      container.diedAt = now()
    }
    truth.mark("reboot")
    this.rebooting = true
    Effect.runSync(engine.reboot)
    this.rebooting = false
  }

  /** Kills the session's container from outside, as soon as it has one. */
  private strikeContainer(fault: Fault, looks: number): void {
    const { after, engine, truth, weather } = this.ground
    const session = sessionName(fault.session)
    const container = truth.living(session)
    if (container === undefined || container.death !== null) {
      if (looks > 0) after(CONTAINER_PATIENCE_MS, () => this.strikeContainer(fault, looks - 1))
      return
    }
    container.death = "outside"
    weather.count(fault)
    Effect.runSync(fault.kind === "oom-kill" ? engine.oomKill(session) : engine.killOutside(session))
  }

  private setClock(fault: Fault, ms: number): void {
    const { host, truth, weather } = this.ground
    host.jump(ms)
    this.setBack += Math.max(0, -ms)
    truth.mark("trouble")
    truth.mark("jump")
    weather.count(fault)
  }

  private engineDown(fault: Fault): void {
    const { after, engine, now, truth, weather } = this.ground
    weather.begin(fault, now())
    truth.mark("trouble")
    Effect.runSync(engine.down)
    after(fault.ms, () => {
      truth.mark("trouble")
      if (weather.find("engine-down", now()) === null) Effect.runSync(engine.up)
    })
  }

  private hideExits(fault: Fault): void {
    const { after, engine, now, weather } = this.ground
    weather.begin(fault, now())
    Effect.runSync(engine.hideExits)
    after(fault.ms, () => {
      if (weather.find("exit-hidden", now()) === null) Effect.runSync(engine.showExits)
    })
  }
}
