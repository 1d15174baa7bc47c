/**
 * SIGTERM: no new claims from then on; the turn at hand has `stopMs` to finish, then it gives up and its claims go back. A second
 * signal gives up at once.
 */
import { log } from "./Log.ts"

export interface Shutdown {
  readonly stopping: AbortSignal
  readonly giveUp: AbortSignal
}

export const listenForShutdown = (stopMs: number): Shutdown => {
  const stopping = new AbortController()
  const giveUp = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      log("info", `${name} again: giving up the turn at hand`)
      giveUp.abort()
      return
    }
    log("info", `${name}: claiming nothing more; a turn at hand has ${stopMs} ms`)
    stopping.abort()
    setTimeout(() => giveUp.abort(), stopMs).unref()
  }
  process.on("SIGTERM", onSignal)
  process.on("SIGINT", onSignal)
  return { stopping: stopping.signal, giveUp: giveUp.signal }
}
