/**
 * Look, take a turn, look again: one turn at a time, until told to stop. The pauses between looks grow while nothing comes; the host's
 * bell and a stop end them.
 */
import { ackedTries } from "./Claims.ts"
import { Bell } from "./Bell.ts"
import { log } from "./Log.ts"
import { runTurn, type TurnServices } from "./Turn.ts"

const FIRST_PAUSE_MS = 50

/** Resolves when stopped. Rejects with `OutboundBroken`. */
export const runLoop = async (services: TurnServices): Promise<void> => {
  const { configuration, file, inbox, shutdown } = services
  const bell = new Bell(configuration.inboundPath)
  let pauseMs = FIRST_PAUSE_MS
  let trouble = ""
  while (!shutdown.stopping.aborted) {
    bell.listen()
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
    await bell.pause(Math.min(pauseMs, configuration.pollMs), shutdown.stopping)
    pauseMs = Math.min(pauseMs * 2, configuration.pollMs)
  }
}
