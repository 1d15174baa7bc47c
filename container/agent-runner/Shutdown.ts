/**
 * SIGTERM: no new claims from then on; the turn at hand has `stopMs` to finish, then it gives up and its claims go back. A second
 * signal gives up at once.
 */
import { log } from "./Log.ts"

export class Shutdown {
  readonly #stopping = new AbortController()
  readonly #giveUp = new AbortController()
  readonly #stopMs: number

  constructor(stopMs: number) {
    this.#stopMs = stopMs
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  get giveUp(): AbortSignal {
    return this.#giveUp.signal
  }

  listen(): void {
    const onSignal = (name: NodeJS.Signals): void => {
      if (this.#stopping.signal.aborted) {
        log("info", `${name} again: giving up the turn at hand`)
        this.#giveUp.abort()
        return
      }
      log("info", `${name}: claiming nothing more; a turn at hand has ${this.#stopMs} ms`)
      this.#stopping.abort()
      setTimeout(() => this.#giveUp.abort(), this.#stopMs).unref()
    }
    process.on("SIGTERM", onSignal)
    process.on("SIGINT", onSignal)
  }
}
