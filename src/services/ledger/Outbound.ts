/**
 * What a container wrote for the world becomes a delivery, once. What it may not send, or what can't be sent as it asked, is refused:
 * the agent finds that in its `delivered` table, and is told.
 */
import { Option, Schema } from "effect"
import { addressOf } from "../../domain/Address.ts"
import { DeliveryId } from "../../domain/Ids.ts"
import { wakes } from "../../domain/Message.ts"
import type { OutboundRow } from "../Mailbox.ts"
import { answerRoute } from "./AgentMessages.ts"
import { endDelivery, enqueueDelivery, type NewDelivery, refuseDestination } from "./Deliveries.ts"
import { isNotice, notifyAgent } from "./Notices.ts"
import type { SessionUnit } from "./SessionUnit.ts"
import { applySystemAction } from "./SystemActions.ts"
import type { Turn } from "./Turns.ts"

/** A container may not push the session's sequence further ahead than this in one life: seq would run out of integers. */
const MAX_SEQ_LEAD = 10_000_000

/** Returns how many deliveries it made: 0 for a row that is known. `turn`: what the container was working on. */
export const ingestOutbound = (
  unit: SessionUnit,
  row: OutboundRow,
  { hops, messages: turn }: Turn,
): number => {
  const session = unit.session()
  const id = DeliveryId.make(`${session.id}/${row.id}`)
  if (unit.tx.delivery(id) !== undefined) return 0
  const seq = row.seq !== null && row.seq > 0 && row.seq < session.hostSeq + MAX_SEQ_LEAD ? row.seq : null
  if (seq !== null && seq > session.hostSeq) unit.change({ hostSeq: seq + (seq % 2) })
  const { address, inReplyTo } = answerRoute(unit, row, turn)
  const base: NewDelivery = {
    id,
    outboundId: row.id,
    seq,
    inReplyTo,
    answers: turn.filter(wakes).map((message) => message.id),
    hops: hops + 1,
    kind: row.kind,
    ...addressOf(address),
    content: row.content,
    deliverAfter: row.deliverAfter,
  }
  if (row.kind === "system") {
    applySystemAction(unit, base)
    return 1
  }
  const content = refuseContent(row)
  const delivery = enqueueDelivery(unit, base)
  const destination = refuseDestination(unit, delivery)
  if (content !== undefined) {
    endDelivery(unit, delivery, { _tag: "refuse", reason: content, refusal: "content" })
    // An agent that was woken by a refusal and is refused again is not woken for it again.
    const kind = turn.some((message) => wakes(message) && !isNotice(message)) ? "chat" : "system"
    notifyAgent(unit, kind, `your message ${row.id} was not sent: ${content}`)
  } else if (destination !== undefined) {
    endDelivery(unit, delivery, { _tag: "refuse", reason: destination, refusal: "destination" })
  }
  return 1
}

const filesOf = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ files: Schema.NonEmptyArray(Schema.Unknown) })),
)

/** Why a row can't be sent as it was written, or nothing. */
const refuseContent = (row: OutboundRow): string | undefined => {
  if (row.recurrence !== null) return "an outbound row can't recur: use the schedule_task action"
  if (row.unreadable !== undefined) return row.unreadable
  // Without this it would arrive without its files, and nobody would know.
  return row.content.includes('"files"') && Option.isSome(filesOf(row.content))
    ? "files can't be sent yet: say in text what is in them, or name their path in the group's folder"
    : undefined
}
