/**
 * The heartbeat: the modification time of a file, touched when the agent made progress and never by a timer, which would hide
 * every hang. A beat that fails must not cost the turn, so it is reported once and otherwise ignored.
 */
import { closeSync, futimesSync, openSync } from "node:fs"
import { log, messageOf } from "./Log.ts"

export const makeHeartbeat = (path: string): (() => void) => {
  let reported = false
  return () => {
    try {
      const descriptor = openSync(path, "a")
      try {
        // Half a millisecond more, or the rounding of seconds as a fraction can show the millisecond before.
        const nowSeconds = (Date.now() + 0.5) / 1_000
        futimesSync(descriptor, nowSeconds, nowSeconds)
      } finally {
        closeSync(descriptor)
      }
    } catch (error) {
      if (reported) return
      reported = true
      log(
        "warn",
        `can't touch the heartbeat ${path}: ${messageOf(error)}; the host may take this agent for stuck`,
      )
    }
  }
}
