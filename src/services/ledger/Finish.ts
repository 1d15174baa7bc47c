/** The one place where a message becomes terminal: its state, its run record, its event, and the answer to its origin. */
import { isTerminal, type Message, type TerminalState, wakes } from "../../domain/Message.ts"
import { enqueueNotice } from "./Deliveries.ts"
import { recordRun } from "./History.ts"
import { onOccurrenceEnd } from "./Occurrences.ts"
import type { SessionUnit } from "./SessionUnit.ts"

export interface Ending {
  readonly state: TerminalState
  readonly error: string | null
  readonly result: string | null
}

/** Longest error or result text that the ledger keeps of a message. */
const MAX_TEXT = 4_000

const bounded = (text: string | null): string | null => (text === null ? null : text.slice(0, MAX_TEXT))

export const finishMessage = (
  unit: SessionUnit,
  message: Message,
  ending: Ending & Partial<Pick<Message, "tries" | "suspect">>,
): Message => {
  if (isTerminal(message.state)) {
    throw new Error(
      `message ${message.id} is ${message.state}: terminal is final, it can't become ${ending.state}`,
    )
  }
  const { now } = unit.context
  const ended = unit.updateMessage(message, {
    ...ending,
    error: bounded(ending.error),
    result: bounded(ending.result),
    endedAt: now,
  })
  if (wakes(message)) {
    const session = unit.session()
    recordRun(unit.tx, {
      sessionId: session.id,
      groupId: session.groupId,
      seriesId: message.seriesId,
      messageId: message.id,
      slot: message.slot,
      dueAt: message.firstDueAt,
      wokenAt: message.wokenAt,
      claimedAt: message.claimedAt,
      endedAt: now,
      durationMs: message.claimedAt === null ? null : Math.max(0, now - message.claimedAt),
      attempts: message.attempts,
      outcome: ending.state,
      error: ended.error,
      result: ended.result,
      incarnation: message.admittedIn,
      logFile: null,
      count: 1,
    })
    unit.event("ended", message.id, endedText(ended))
  }
  if (message.seriesId !== null) onOccurrenceEnd(unit, ended, ending.state)
  if (ending.state === "failed") {
    enqueueNotice(unit, message, {
      text: `I could not finish this: ${ended.error ?? "unknown error"} (${message.attempts} attempts)`,
    })
  }
  return ended
}

const endedText = (message: Message): string => {
  const why = message.error === null ? "" : `: ${message.error}`
  const tries = message.tries === 0 ? "" : ` after ${message.tries} ${message.tries === 1 ? "try" : "tries"}`
  return `${message.state}${tries}${why}`
}
