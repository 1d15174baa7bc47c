/**
 * A delivery: the durable state of one outbound message on its way to a channel, separate from the execution that wrote it. Its
 * status changes by the table below and in no other way: the status of a row is a type that only this module can make.
 */
import { Schema } from "effect"
import { Address } from "./Address.ts"
import { DeliveryId, IncarnationNumber, MessageId, OutboundId, SessionId } from "./Ids.ts"
import { EpochMs } from "./Instant.ts"

/**
 * `pending`: waits for its turn, its time or its retry. `delivered`: the channel took it. `dead`: given up, with the reason.
 * `refused`: it may not be sent, or a system action that may not be done. `applied`: a system action that was done.
 */
export const DeliveryStatus = Schema.Literals(["pending", "delivered", "dead", "applied", "refused"])
export type DeliveryStatus = typeof DeliveryStatus.Type

const TabledStatus = DeliveryStatus.pipe(Schema.brand("DeliveryTable"))

export const Delivery = Schema.Struct({
  /** Also the idempotency key: `<session>/<outbound id>`, or `<session>/host.<n>` for the host's own notices. */
  id: DeliveryId,
  sessionId: SessionId,
  /** Null for the host's own. */
  outboundId: Schema.NullOr(OutboundId),
  incarnation: IncarnationNumber,
  /** Order of ingestion over the whole ledger. */
  position: Schema.Int,
  /** The container's (odd) sequence number; null for the host's own. */
  seq: Schema.NullOr(Schema.Int),
  inReplyTo: Schema.NullOr(MessageId),
  /** The messages of the turn that wrote it: it answers them together. */
  answers: Schema.Array(MessageId),
  /** How many agents' words led to it, itself included; 0 for what the host wrote. */
  hops: Schema.Int,
  kind: Schema.String,
  ...Address.fields,
  content: Schema.String,
  /** `session|channel|platform|thread`: within one lane, order holds. */
  lane: Schema.String,
  status: TabledStatus,
  /** Attempts spent. A wait that the channel asked for spends none. */
  attempts: Schema.Int,
  /** When the first attempt failed: its greatest age counts from here. */
  firstAttemptAt: Schema.NullOr(EpochMs),
  /** When it may be sent; null while another of its lane is ahead. */
  nextAttemptAt: Schema.NullOr(EpochMs),
  deliverAfter: Schema.NullOr(EpochMs),
  lastError: Schema.NullOr(Schema.String),
  /** What a refusal is about: a destination may be allowed later, a content stays what it is. Null for actions. */
  refusal: Schema.NullOr(Schema.Literals(["destination", "content"])),
  /** What the agent is told of an action that was done. */
  detail: Schema.NullOr(Schema.String),
  platformMessageId: Schema.NullOr(Schema.String),
  /** The session's revision when its outcome changed: `delivered` rows are projected by it. */
  revision: Schema.Int,
  createdAt: EpochMs,
  endedAt: Schema.NullOr(EpochMs),
})
export type Delivery = typeof Delivery.Type

/** What may become of a delivery. A redriven one starts afresh, under the same idempotency key. */
const TABLE = {
  pending: {
    send: "delivered",
    retry: "pending",
    giveUp: "dead",
    refuse: "refused",
    apply: "applied",
  },
  dead: { redrive: "pending", refuse: "refused" },
  refused: { redrive: "pending", refuse: "refused" },
  delivered: {},
  applied: {},
} as const satisfies Record<DeliveryStatus, Partial<Record<DeliveryEvent["_tag"], DeliveryStatus>>>

export type DeliveryEvent =
  | { readonly _tag: "send"; readonly platformMessageId: string | null }
  | {
      readonly _tag: "retry"
      readonly attempts: number
      readonly nextAttemptAt: EpochMs
      readonly reason: string
    }
  | { readonly _tag: "giveUp"; readonly attempts: number; readonly reason: string }
  | { readonly _tag: "refuse"; readonly reason: string; readonly refusal: Delivery["refusal"] }
  | { readonly _tag: "apply"; readonly detail: string }
  /** `nextAttemptAt`: null when others of its lane are ahead. */
  | { readonly _tag: "redrive"; readonly nextAttemptAt: EpochMs | null }

/** The row after the event, or nothing when the table does not have the pair. */
export const transitionDelivery = (
  row: Delivery,
  event: DeliveryEvent,
  at: { readonly now: EpochMs; readonly revision: number },
): Delivery | undefined => {
  const from: DeliveryStatus = row.status
  const events: Partial<Record<DeliveryEvent["_tag"], DeliveryStatus>> = TABLE[from]
  const status = events[event._tag]
  return status === undefined ? undefined : { ...row, ...change(row, event, at.now), ...ending(status, at) }
}

/** What nothing has become of yet. */
const fresh = {
  attempts: 0,
  firstAttemptAt: null,
  lastError: null,
  refusal: null,
  detail: null,
  platformMessageId: null,
  endedAt: null,
}

export type FreshDelivery = Omit<Delivery, keyof typeof fresh | "status">

/** A row that begins its life. */
export const pendingDelivery = (row: FreshDelivery): Delivery => ({
  ...row,
  ...fresh,
  status: TabledStatus.make("pending"),
})

const ending = (status: DeliveryStatus, at: { readonly now: EpochMs; readonly revision: number }) =>
  status === "pending"
    ? { status: TabledStatus.make(status), endedAt: null, revision: at.revision }
    : { status: TabledStatus.make(status), nextAttemptAt: null, endedAt: at.now, revision: at.revision }

const change = (row: Delivery, event: DeliveryEvent, now: EpochMs): Partial<Delivery> => {
  switch (event._tag) {
    case "send":
      return { attempts: row.attempts + 1, platformMessageId: event.platformMessageId, lastError: null }
    case "retry":
      return {
        attempts: event.attempts,
        firstAttemptAt: row.firstAttemptAt ?? now,
        nextAttemptAt: event.nextAttemptAt,
        lastError: event.reason,
      }
    case "giveUp":
      return { attempts: event.attempts, lastError: event.reason }
    case "refuse":
      return { lastError: event.reason, refusal: event.refusal }
    case "apply":
      return { detail: event.detail }
    case "redrive":
      return { attempts: 0, firstAttemptAt: null, nextAttemptAt: event.nextAttemptAt, refusal: null }
  }
}

export const laneOf = (
  delivery: Pick<Delivery, "sessionId" | "channelType" | "platformId" | "threadId">,
): string =>
  JSON.stringify([delivery.sessionId, delivery.channelType, delivery.platformId, delivery.threadId])
