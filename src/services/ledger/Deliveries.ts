/**
 * Deliveries in the ledger. Within one lane (session and destination) order holds: only the first pending row has an instant
 * at which it may be sent; the rows behind it have none until it ends. A row that asked to be delivered later joins the end of
 * its lane when its time comes.
 */
import { Result } from "effect"
import { decideDelivery } from "../../domain/DeliveryRetry.ts"
import { type Delivery, laneOf } from "../../domain/Delivery.ts"
import { DeliveryId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message } from "../../domain/Message.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { Conflict, NotFound } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

export type NewDelivery = Pick<
  Delivery,
  | "id"
  | "outboundId"
  | "seq"
  | "inReplyTo"
  | "kind"
  | "channelType"
  | "platformId"
  | "threadId"
  | "content"
  | "deliverAfter"
>

/**
 * Puts a delivery at the end of its lane. One that is to be delivered later waits in a lane of its own, so that it holds up
 * nobody, until `takeDelivery` moves it.
 */
export const enqueueDelivery = (unit: SessionUnit, row: NewDelivery): Delivery => {
  const session = unit.session()
  const { now } = unit.context
  const lane = laneOf({ ...row, sessionId: session.id })
  const later = row.deliverAfter !== null && row.deliverAfter > now
  const delivery: Delivery = {
    ...row,
    sessionId: session.id,
    incarnation: session.incarnation,
    position: 0,
    lane: later ? `${lane}#${row.id}` : lane,
    status: "pending",
    attempts: 0,
    nextAttemptAt: later ? row.deliverAfter : turnIn(unit.tx, lane, now),
    lastError: null,
    platformMessageId: null,
    revision: unit.revision(),
    createdAt: now,
    endedAt: null,
  }
  const position = unit.tx.putDelivery(delivery)
  return { ...delivery, position }
}

/** Now, if the lane is free; otherwise null: the row behind waits until the one ahead ends. */
const turnIn = (tx: LedgerTx, lane: string, now: EpochMs): EpochMs | null =>
  tx.laneOf(lane, 1).length === 0 ? now : null

/** The host's own word to where a message came from. Nothing where it came from nowhere. */
export const enqueueNotice = (
  unit: SessionUnit,
  message: Pick<Message, "id" | "channelType" | "platformId" | "threadId">,
  content: { readonly text: string },
): void => {
  if (message.channelType === null) return
  enqueueDelivery(unit, {
    id: DeliveryId.make(`${unit.session().id}/host.${unit.nextSeq()}`),
    outboundId: null,
    seq: null,
    inReplyTo: message.id,
    kind: "chat",
    channelType: message.channelType,
    platformId: message.platformId,
    threadId: message.threadId,
    content: JSON.stringify(content),
    deliverAfter: null,
  })
}

/**
 * Takes a due delivery for sending, if it is its lane's turn. A delayed row whose time has come joins its real lane, and if
 * others are ahead there, `undefined` says that there is nothing to send now.
 */
export const takeDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  context: TransitionContext,
): Delivery | undefined => {
  const delivery = tx.delivery(id)
  if (delivery === undefined || delivery.status !== "pending") return undefined
  if (delivery.nextAttemptAt === null || delivery.nextAttemptAt > context.now) return undefined
  const lane = laneOf(delivery)
  if (delivery.lane === lane) return delivery
  const moved: Delivery = { ...delivery, lane, nextAttemptAt: turnIn(tx, lane, context.now) }
  tx.putDelivery(moved)
  return moved.nextAttemptAt === null ? undefined : moved
}

export type SendOutcome =
  | { readonly _tag: "Sent"; readonly platformMessageId: string | null }
  | {
      readonly _tag: "NotSent"
      readonly kind: "Transient" | "Permanent"
      readonly message: string
      readonly retryAfterMs: number | null
    }

/** Records what became of one attempt to send; an ended delivery stays what it is. Returns the row as it stands. */
export const settleDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  outcome: SendOutcome,
  context: TransitionContext,
): Delivery | undefined => {
  const delivery = tx.delivery(id)
  if (delivery === undefined || delivery.status !== "pending") return delivery
  const unit = openUnit(tx, delivery.sessionId, context)
  if (unit === undefined) return delivery
  const settled = settledRow(unit, delivery, outcome)
  tx.putDelivery(settled)
  if (settled.status !== "pending") promoteLane(tx, settled.lane, context)
  unit.close()
  return settled
}

const settledRow = (unit: SessionUnit, delivery: Delivery, outcome: SendOutcome): Delivery => {
  const { now } = unit.context
  if (outcome._tag === "Sent") {
    unit.event("delivered", delivery.inReplyTo, `${delivery.id} to ${delivery.channelType}`)
    return {
      ...delivery,
      status: "delivered",
      attempts: delivery.attempts + 1,
      platformMessageId: outcome.platformMessageId,
      nextAttemptAt: null,
      lastError: null,
      endedAt: now,
      revision: unit.revision(),
    }
  }
  const decision = decideDelivery(delivery, outcome, now, unit.policy)
  if (decision._tag === "Retry") {
    unit.event(
      "delivery-retry",
      delivery.inReplyTo,
      `${delivery.id} in ${decision.delayMs} ms: ${outcome.message}`,
    )
    return {
      ...delivery,
      attempts: decision.attempts,
      nextAttemptAt: decision.nextAttemptAt,
      lastError: outcome.message,
    }
  }
  unit.event("delivery-dead", delivery.inReplyTo, `${delivery.id}: ${decision.reason}`)
  return {
    ...delivery,
    status: "dead",
    attempts: decision.attempts,
    nextAttemptAt: null,
    lastError: decision.reason,
    endedAt: now,
    revision: unit.revision(),
  }
}

/** Gives the lane's next waiting row its turn. */
const promoteLane = (tx: LedgerTx, lane: string, context: TransitionContext): void => {
  const [next] = tx.laneOf(lane, 1)
  if (next !== undefined && next.nextAttemptAt === null)
    tx.putDelivery({ ...next, nextAttemptAt: context.now })
}

/** Gives a dead delivery a new life at the end of its lane, with the same idempotency key. */
export const redriveDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  context: TransitionContext,
): Result.Result<Delivery, NotFound | Conflict> => {
  const delivery = tx.delivery(id)
  if (delivery === undefined) return Result.fail(NotFound.of("delivery", id))
  if (delivery.status !== "dead") {
    return Result.fail(
      new Conflict({ message: `delivery '${id}' is ${delivery.status}; only dead ones are redriven` }),
    )
  }
  const lane = laneOf(delivery)
  const revived: Delivery = {
    ...delivery,
    lane,
    status: "pending",
    attempts: 0,
    nextAttemptAt: turnIn(tx, lane, context.now),
    endedAt: null,
  }
  tx.putDelivery(revived)
  return Result.succeed(revived)
}
