/** What people ask of a simulated daemon. Nobody here believes that anything happened before it was answered. */
import { Cause, type Effect, Exit } from "effect"
import { Operations } from "../services/Operations.ts"
import type { DaemonLives } from "./DaemonLives.ts"
import type { Fault } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import type { DaemonServices } from "./SimulatedDaemon.ts"

export interface RequestsOptions {
  readonly ground: Ground
  readonly lives: DaemonLives
  /** Makes groups and sessions; every step may have happened before the daemon died. */
  readonly furnish: Effect.Effect<unknown, unknown, DaemonServices>
  readonly retryMs: number
  readonly onRefused: (what: string, cause: Cause.Cause<unknown>) => void
}

/** Asked again later: the daemon is down, its disk is full, or the answer was lost. */
const isPassing = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.every(
    (reason) =>
      reason._tag === "Fail" &&
      ["LedgerError", "Full"].includes((reason.error as { _tag?: string })._tag ?? ""),
  )

/** What is asked of a daemon. */
type Ask<A, E> = (operations: Operations["Service"]) => Effect.Effect<A, E, DaemonServices>

export class Requests {
  private readonly options: RequestsOptions
  private furnished: "no" | "asked" | "yes" = "no"

  constructor(options: RequestsOptions) {
    this.options = options
  }

  /** Called when a daemon is up: makes what is not there yet. */
  readonly settle = (): void => {
    const { furnish, ground, lives, onRefused, retryMs } = this.options
    const daemon = lives.current
    if (daemon === null || this.furnished !== "no") return
    this.furnished = "asked"
    daemon.operate(furnish, (answer) => {
      this.furnished = answer !== null && Exit.isSuccess(answer) ? "yes" : "no"
      if (this.furnished === "yes") return
      if (answer !== null && Exit.isFailure(answer) && !isPassing(answer.cause))
        return onRefused("furnishing", answer.cause)
      ground.after(retryMs, this.settle)
    })
  }

  /** Asks until there is an answer; `done` gets it. Refusals other than passing ones go to `refused`. */
  insist<A, E>(
    what: string,
    ask: Ask<A, E>,
    done: (answer: A) => void = () => {},
    refused: (cause: Cause.Cause<E>) => void = (cause) => this.options.onRefused(what, cause),
  ): void {
    const { ground, lives, retryMs } = this.options
    const again = (): void => ground.after(retryMs, () => this.insist(what, ask, done, refused))
    const daemon = lives.current
    if (this.furnished !== "yes" || daemon === null || !daemon.isReady()) return again()
    daemon.operate(Operations.use(ask), (answer) => {
      if (answer === null) return again()
      ground.note(`${what}: ${answer._tag}`)
      if (Exit.isSuccess(answer)) return done(answer.value)
      if (isPassing(answer.cause)) return again()
      refused(answer.cause)
    })
  }

  /** Something that an operator tries once and forgets. */
  attempt<A, E>(fault: Fault, ask: Ask<A, E>): void {
    const { ground, lives } = this.options
    const daemon = lives.current
    if (daemon === null || !daemon.isReady() || this.furnished !== "yes") return
    ground.weather.count(fault)
    daemon.operate(Operations.use(ask), (answer) => {
      ground.note(`${fault.kind} #${fault.id}: ${answer === null ? "no answer" : answer._tag}`)
      if (answer !== null && Exit.isFailure(answer) && Cause.hasDies(answer.cause))
        ground.violate(0, `${fault.kind} broke the daemon: ${Cause.pretty(answer.cause)}`)
    })
  }
}
