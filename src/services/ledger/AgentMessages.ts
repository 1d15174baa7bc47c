/**
 * Agent to agent: what one group's agent writes to another becomes a message of that group, and the answer finds the session that
 * asked. The thread of such a message is the message that its writer was answering when it asked: so an answer is known as one where
 * it arrives, and what is said of it goes to whoever started it.
 */
import { Option, Result, Schema } from "effect"
import { type Address, nowhere } from "../../domain/Address.ts"
import type { Delivery } from "../../domain/Delivery.ts"
import { type DeliveryId, GroupId, MessageId, SessionId } from "../../domain/Ids.ts"
import { HOUR_MS } from "../../domain/Instant.ts"
import type { Message } from "../../domain/Message.ts"
import type { Session } from "../../domain/Session.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import type { OutboundRow } from "../Mailbox.ts"
import { accept, plainDraft, resolveSession, sessionKey } from "./Accept.ts"
import { type SendOutcome, settleDelivery } from "./Deliveries.ts"
import { notifyAgent } from "./Notices.ts"
import { policyOf, type SessionUnit, type TransitionContext, withUnit } from "./SessionUnit.ts"

const AGENT = "agent"

/** Where a row goes, and which message it answers. Without a destination of its own it goes to whoever is answered. */
export const answerRoute = (
  unit: SessionUnit,
  row: OutboundRow,
  turn: ReadonlyArray<Message>,
): { readonly address: Address; readonly inReplyTo: MessageId | null } => {
  const session = unit.session()
  const named = ownMessage(unit, row.inReplyTo)
  // A session that has no address of its own answers what its turn is about.
  const answered =
    named ?? (session.channelType === null ? turn.find((m) => m.channelType !== null) : undefined)
  const copied =
    row.threadId !== null &&
    (["channelType", "platformId", "threadId"] as const).every((field) => row[field] === answered?.[field])
  if (row.channelType !== null && !copied) return { address: row, inReplyTo: named?.id ?? null }
  let origin = answered
  for (let hop = 0; hop < unit.policy.maxAgentHops && origin?.channelType === AGENT; hop++) {
    const start = ownMessage(unit, origin.threadId)
    if (start === undefined) break
    origin = start
  }
  return { address: origin ?? session, inReplyTo: origin?.id ?? null }
}

const ownMessage = (unit: SessionUnit, id: string | null): Message | undefined => {
  const message = id === null ? undefined : unit.tx.message(id as MessageId)
  return message?.sessionId === unit.session().id ? message : undefined
}

/** Hands a delivery to the agent that it is for, and settles it, in one transaction. */
export const forward = (tx: LedgerTx, id: DeliveryId, context: TransitionContext): void => {
  const delivery = tx.delivery(id)
  const from = delivery === undefined ? undefined : tx.session(delivery.sessionId)
  if (delivery === undefined || from === undefined || delivery.status !== "pending") return
  settleDelivery(tx, id, hand(tx, delivery, from, context), context)
}

const hand = (tx: LedgerTx, delivery: Delivery, from: Session, context: TransitionContext): SendOutcome => {
  const asked = [delivery.inReplyTo, ...delivery.answers]
    .map((id) => (id === null ? undefined : tx.message(id)))
    .find((message) => message?.channelType === AGENT && message.platformId === delivery.platformId)
  const target = asked?.sourceSessionId ?? null
  const to = target === null ? sharedSession(tx, delivery, context) : Result.succeed(tx.session(target))
  if (Result.isFailure(to)) return { _tag: "Refused", message: to.failure.message }
  if (to.success === undefined) return { _tag: "Refused", message: "the session that asked is gone" }
  const refusal = overLimit(tx, delivery, from, to.success, context)
  if (refusal !== undefined) return { _tag: "Refused", message: refusal }
  const accepted = accept(
    tx,
    to.success.id,
    plainDraft({
      id: forwardedId(delivery),
      kind: "chat",
      content: signed(delivery.content, tx.group(from.groupId)?.name ?? from.groupId),
      dueAt: context.now,
      channelType: AGENT,
      platformId: from.groupId,
      threadId: target === null ? (delivery.inReplyTo ?? delivery.answers[0] ?? null) : delivery.threadId,
      sourceSessionId: from.id,
      hops: delivery.hops,
    }),
    context,
  )
  if (Result.isSuccess(accepted)) return { _tag: "Sent", platformMessageId: accepted.success.message.id }
  const { _tag, message } = accepted.failure
  return _tag === "Full"
    ? { _tag: "NotSent", kind: "Transient", message, retryAfterMs: null }
    : { _tag: "Refused", message }
}

const sharedSession = (tx: LedgerTx, delivery: Delivery, context: TransitionContext) => {
  const groupId = Option.getOrElse(Schema.decodeUnknownOption(GroupId)(delivery.platformId), () =>
    GroupId.make("-"),
  )
  return resolveSession(
    tx,
    {
      id: SessionId.make(`agent-${groupId}`.slice(0, 63)),
      groupId,
      key: sessionKey("agent-shared", nowhere),
      origin: "agent",
      address: nowhere,
      expiresAt: null,
    },
    context,
  )
}

/** Agents that answer each other for ever, or too often, are stopped, and both are told. Counts what it lets through. */
const overLimit = (
  tx: LedgerTx,
  delivery: Delivery,
  from: Session,
  to: Session,
  context: TransitionContext,
): string | undefined => {
  const policy = policyOf(tx, from.groupId, context.policy)
  const tell = (why: string): string => {
    for (const { id } of [from, to]) {
      const text = `A message from ${from.groupId} to ${to.groupId} was refused: ${why}`
      withUnit(tx, id, context, (unit) => notifyAgent(unit, "system", text))
    }
    return why
  }
  if (delivery.hops > policy.maxAgentHops)
    return tell(
      `${delivery.hops - 1} messages of agents led to it, as many as are let through (maxAgentHops)`,
    )
  const key = `agents:${[from.groupId, to.groupId].toSorted().join(":")}`
  const [since = 0, count = 0] = (tx.meta(key) ?? "").split(" ").map(Number)
  const open = context.now < since + HOUR_MS && context.now >= since
  const next = open ? count + 1 : 1
  tx.putMeta(key, `${open ? since : context.now} ${next}`)
  if (next <= policy.maxAgentMessagesPerHour) return undefined
  const why = `more than ${policy.maxAgentMessagesPerHour} messages in an hour (maxAgentMessagesPerHour)`
  return next === policy.maxAgentMessagesPerHour + 1 ? tell(why) : why
}

const decodeObject = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
)

/** Says who wrote it, whatever the writer says. */
const signed = (content: string, sender: string): string =>
  JSON.stringify({ ...Option.getOrElse(decodeObject(content), () => ({ text: content })), sender })

/** A repeat finds it again. An id that is too long would meet others when it is cut; its place does not. */
const forwardedId = ({ id, position, sessionId }: Delivery): MessageId => {
  const whole = `fwd:${id.replaceAll("/", ":")}`
  return MessageId.make(whole.length <= 128 ? whole : `fwd:${sessionId}:${position}`)
}
