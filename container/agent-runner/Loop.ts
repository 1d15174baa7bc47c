/**
 * Look, take a turn, look again: one turn at a time, until told to stop. The pauses between looks grow while nothing comes, and
 * a stop ends them.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { ackedTries } from "./Claims.ts"
import { log } from "./Log.ts"
import { runTurn, type TurnServices } from "./Turn.ts"

const FIRST_PAUSE_MS = 50

/** Resolves when stopped. Rejects with `OutboundBroken`. */
export const runLoop = async (services: TurnServices): Promise<void> => {
  const { configuration, file, inbox, shutdown } = services
  let pauseMs = FIRST_PAUSE_MS
  let trouble = ""
  while (!shutdown.stopping.aborted) {
    const look = inbox.look({
      nowMs: Date.now(),
      maxTriggers: configuration.maxMessagesPerPrompt,
      ackedTries: (id) => file.read((database) => ackedTries(database, id)),
    })
    if (look.kind === "unreadable") {
      if (look.why !== trouble) log("warn", `can't read ${configuration.inboundPath} just now: ${look.why}`)
      trouble = look.why
    } else if (trouble !== "") {
      log("info", `${configuration.inboundPath} can be read again`)
      trouble = ""
    }
    if (look.kind === "batch") {
      await runTurn(look.batch, services)
      inbox.forget()
      pauseMs = FIRST_PAUSE_MS
      continue
    }
    await sleep(Math.min(pauseMs, configuration.pollMs), undefined, { signal: shutdown.stopping }).catch(
      () => undefined,
    )
    pauseMs = Math.min(pauseMs * 2, configuration.pollMs)
  }
}
