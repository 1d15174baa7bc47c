/**
 * Which messages a container was working on when it wrote a row: a turn claims its messages at one instant and acks them at one
 * instant. What a turn writes answers all of them.
 */
import type { Incarnation } from "../../domain/Incarnation.ts"
import type { MessageId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { isTerminal, type Message } from "../../domain/Message.ts"
import type { OutboundRow, Reading } from "../Mailbox.ts"
import type { SessionUnit } from "./SessionUnit.ts"

export interface Turn {
  /** What a row answers. */
  readonly messages: ReadonlyArray<Message>
  /** The most words of agents that led to anything the container works on: it can't choose the message that it answers to hide some. */
  readonly hops: number
}

/** Acks of a reading that are looked at for a row that says nothing of what it answers. */
const MAX_ACKS = 100

/** To be asked before the reading's acks are ingested. Costs nothing while there is no row to ask about. */
export const turnsOf = (
  unit: SessionUnit,
  incarnation: Incarnation,
  reading: Reading,
): ((row: OutboundRow) => Turn) => {
  const own = (id: string): Message | undefined => {
    const message = unit.tx.message(id as MessageId)
    return message?.sessionId === incarnation.sessionId ? message : undefined
  }
  const live = (id: string): Message | undefined => {
    const message = own(id)
    return message?.admittedIn === incarnation.number && !isTerminal(message.state) ? message : undefined
  }
  let claims: ReadonlyArray<{ readonly at: EpochMs; readonly message: Message }> | undefined
  return ({ inReplyTo }) => {
    claims ??= unit.tx.openAttempts(incarnation.sessionId).flatMap(({ claimedAt, messageId }) => {
      const message = live(messageId)
      return message === undefined ? [] : [{ at: claimedAt, message }]
    })
    const open = claims.map(({ message }) => message)
    const claim = claims.find(({ message }) => message.id === inReplyTo)
    // A quick turn's claim and ack come in one reading.
    const acked = reading.acks.find(({ messageId }) => messageId === inReplyTo)
    const quick = reading.acks.filter(
      acked === undefined
        ? () => open.length === 0
        : // Times that are cut to the second are shared by turns that have nothing to do with each other.
          ({ changedAt, detail, messageId, precision }) =>
            messageId === acked.messageId ||
            detail.turn === acked.messageId ||
            (precision === "ms" && changedAt === acked.changedAt),
    )
    const messages =
      claim === undefined
        ? quick.slice(-MAX_ACKS).flatMap(({ messageId }) => live(messageId) ?? [])
        : claims.filter(({ at }) => at === claim.at).map(({ message }) => message)
    const named = inReplyTo === null ? undefined : own(inReplyTo)
    const worked = messages.length > 0 ? messages : open
    return {
      messages: worked.length > 0 || named === undefined ? worked : [named],
      hops: Math.max(0, named?.hops ?? 0, ...[...messages, ...open].map(({ hops }) => hops)),
    }
  }
}
