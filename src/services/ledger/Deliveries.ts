/**
 * Deliveries in the ledger. Within one lane (session and destination) order holds: only the first pending row has an instant
 * at which it may be sent; the rows behind it have none until it ends. A row that asked to be delivered later joins the end of
 * its lane when its time comes.
 */
import { Result } from "effect"
import { type Address, addressOf } from "../../domain/Address.ts"
import * as Sending from "../../domain/Delivery.ts"
import type { Delivery } from "../../domain/Delivery.ts"
import { DeliveryId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message } from "../../domain/Message.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { conflict, type Conflict, NotFound } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext, withUnit } from "./SessionUnit.ts"

export type NewDelivery = Omit<
  Sending.FreshDelivery,
  "sessionId" | "incarnation" | "position" | "lane" | "nextAttemptAt" | "revision" | "createdAt"
>

/**
 * Puts a delivery at the end of its lane. One that is to be delivered later waits in a lane of its own, so that it holds up
 * nobody, until `takeDelivery` moves it.
 */
export const enqueueDelivery = (unit: SessionUnit, row: NewDelivery): Delivery => {
  const session = unit.session()
  const { now } = unit.context
  const lane = Sending.laneOf({ ...row, sessionId: session.id })
  const later = row.deliverAfter !== null && row.deliverAfter > now
  const delivery = Sending.pendingDelivery({
    ...row,
    sessionId: session.id,
    incarnation: session.incarnation,
    position: 0,
    lane: later ? `${lane}#${row.id}` : lane,
    nextAttemptAt: later ? row.deliverAfter : turnIn(unit.tx, lane, now),
    revision: unit.revision(),
    createdAt: now,
  })
  const position = unit.tx.putDelivery(delivery)
  return { ...delivery, position }
}

/** Now, if the lane is free; otherwise null: the row behind waits until the one ahead ends. */
const turnIn = (tx: LedgerTx, lane: string, now: EpochMs): EpochMs | null =>
  tx.laneOf(lane, 1).length === 0 ? now : null

/** The host's own word to where a message came from. Nothing where it came from nowhere. */
export const enqueueNotice = (
  unit: SessionUnit,
  message: Pick<Message, "id"> & Address,
  content: { readonly text: string },
): void => {
  if (message.channelType === null) return
  enqueueDelivery(unit, {
    id: DeliveryId.make(`${unit.session().id}/host.${unit.nextSeq()}`),
    outboundId: null,
    seq: null,
    inReplyTo: message.id,
    answers: [],
    hops: 0,
    kind: "chat",
    ...addressOf(message),
    content: JSON.stringify(content),
    deliverAfter: null,
  })
}

/** Ends a row and says so; the next of its lane gets its turn. Returns the row as it stands. */
export const endDelivery = (
  unit: SessionUnit,
  delivery: Delivery,
  event: Extract<Sending.DeliveryEvent, { readonly _tag: "send" | "giveUp" | "refuse" }>,
): Delivery => {
  const ended = Sending.transitionDelivery(delivery, event, {
    now: unit.context.now,
    revision: unit.revision(),
  })
  if (ended === undefined) return delivery
  unit.tx.putDelivery(ended)
  const what = event._tag === "send" ? ` to ${delivery.channelType}` : `: ${event.reason}`
  unit.event(ENDINGS[event._tag], delivery.inReplyTo, `${delivery.id}${what}`)
  promoteLane(unit.tx, ended.lane, unit.context.now)
  return ended
}

const ENDINGS = { send: "delivered", giveUp: "delivery-dead", refuse: "delivery-refused" } as const

/**
 * Why a row may not go where it wants to, or nothing. A container reaches its own conversation, those that it answers, and its
 * group's destinations, no more. Asked again before each attempt: what was allowed once may not be any more.
 */
export const refuseDestination = (unit: SessionUnit, delivery: Delivery): string | undefined => {
  const { channelType, inReplyTo, platformId } = delivery
  if (channelType === null) return "it names no destination, and its session has none"
  if (delivery.outboundId === null) return undefined
  const leadsThere = (address: Pick<Message, "channelType" | "platformId"> | undefined): boolean =>
    address?.channelType === channelType && address.platformId === platformId
  const configured = (unit.group?.destinations ?? []).some((destination) =>
    destination.type === "agent"
      ? channelType === "agent" && platformId === destination.agentGroupId
      : leadsThere(destination),
  )
  return configured ||
    leadsThere(unit.session()) ||
    [inReplyTo, ...delivery.answers].some((id) => id !== null && leadsThere(unit.tx.message(id)))
    ? undefined
    : `'${channelType}' / '${platformId ?? ""}' is not a destination of this group`
}

/**
 * Takes a due delivery for sending, if it is its lane's turn and it may still be sent. A delayed row whose time has come joins its
 * real lane, and if others are ahead there, `undefined` says that there is nothing to send now.
 */
export const takeDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  context: TransitionContext,
): Delivery | undefined => {
  const found = tx.delivery(id)
  if (found === undefined || found.status !== "pending") return undefined
  if (found.nextAttemptAt === null || found.nextAttemptAt > context.now) return undefined
  const lane = Sending.laneOf(found)
  const delivery =
    found.lane === lane ? found : { ...found, lane, nextAttemptAt: turnIn(tx, lane, context.now) }
  if (delivery !== found) tx.putDelivery(delivery)
  if (delivery.nextAttemptAt === null) return undefined
  const unit = openUnit(tx, delivery.sessionId, context)
  if (unit === undefined) return delivery
  const refusal = refuseDestination(unit, delivery)
  const age = Sending.deadOfAge(delivery, unit.policy)
  if (refusal === undefined && age === undefined) return delivery
  endDelivery(
    unit,
    delivery,
    refusal === undefined
      ? { _tag: "giveUp", attempts: delivery.attempts, reason: age ?? "" }
      : { _tag: "refuse", reason: refusal, refusal: "destination" },
  )
  unit.close()
  return undefined
}

export type SendOutcome =
  | { readonly _tag: "Sent"; readonly platformMessageId: string | null }
  | {
      readonly _tag: "NotSent"
      readonly kind: "Transient" | "Permanent"
      readonly message: string
      readonly retryAfterMs: number | null
    }
  /** It may not be sent: the ledger's word, not the channel's. */
  | { readonly _tag: "Refused"; readonly message: string }

/** Records what became of one attempt to send; an ended delivery stays what it is. Returns the row as it stands. */
export const settleDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  outcome: SendOutcome,
  context: TransitionContext,
): Delivery | undefined => {
  const delivery = tx.delivery(id)
  if (delivery === undefined || delivery.status !== "pending") return delivery
  return withUnit(tx, delivery.sessionId, context, (unit) => settledRow(unit, delivery, outcome)) ?? delivery
}

const settledRow = (unit: SessionUnit, delivery: Delivery, outcome: SendOutcome): Delivery => {
  if (outcome._tag === "Sent")
    return endDelivery(unit, delivery, { _tag: "send", platformMessageId: outcome.platformMessageId })
  if (outcome._tag === "Refused")
    return endDelivery(unit, delivery, { _tag: "refuse", reason: outcome.message, refusal: "destination" })
  const { now } = unit.context
  const decision = Sending.decideDelivery(delivery, outcome, now, unit.policy)
  if (decision._tag === "Dead") return endDelivery(unit, delivery, { ...decision, _tag: "giveUp" })
  const retried = Sending.transitionDelivery(
    delivery,
    { ...decision, _tag: "retry", reason: outcome.message },
    { now, revision: delivery.revision },
  )
  if (retried === undefined) return delivery
  unit.tx.putDelivery(retried)
  unit.event(
    "delivery-retry",
    delivery.inReplyTo,
    `${delivery.id} in ${decision.delayMs} ms: ${outcome.message}`,
  )
  return retried
}

/** Gives the lane's next waiting row its turn. */
const promoteLane = (tx: LedgerTx, lane: string, now: EpochMs): void => {
  const [next] = tx.laneOf(lane, 1)
  if (next !== undefined && next.nextAttemptAt === null) tx.putDelivery({ ...next, nextAttemptAt: now })
}

/**
 * Gives a delivery that was given up a new life at the end of its lane, with the same idempotency key. One that was refused has it
 * only if what refused it has changed.
 */
export const redriveDelivery = (
  tx: LedgerTx,
  id: DeliveryId,
  context: TransitionContext,
): Result.Result<Delivery, NotFound | Conflict> => {
  const delivery = tx.delivery(id)
  if (delivery === undefined) return Result.fail(NotFound.of("delivery", id))
  const unit = openUnit(tx, delivery.sessionId, context)
  const refuse = (message: string) => conflict(`delivery '${id}' is ${delivery.status}; ${message}`)
  if (unit === undefined) return refuse("its session is gone")
  if (delivery.status === "refused" && delivery.refusal !== "destination")
    return refuse(`it stays so: ${delivery.lastError ?? "no reason is known"}`)
  if (delivery.status === "dead" || delivery.status === "refused") {
    const refusal = refuseDestination(unit, delivery)
    if (refusal !== undefined) return refuse(`it may not be sent: ${refusal}`)
  }
  const lane = Sending.laneOf(delivery)
  const revived = Sending.transitionDelivery(
    { ...delivery, lane },
    { _tag: "redrive", nextAttemptAt: turnIn(tx, lane, context.now) },
    { now: context.now, revision: unit.revision() },
  )
  if (revived === undefined) return refuse("only dead and refused ones are redriven")
  tx.putDelivery(revived)
  unit.close()
  return Result.succeed(revived)
}
