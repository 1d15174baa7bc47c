/** A delivery: the durable state of one outbound message on its way to a channel, separate from the execution that wrote it. */
import { Schema } from "effect"
import { DeliveryId, IncarnationNumber, MessageId, OutboundId, SessionId } from "./Ids.ts"
import { EpochMs } from "./Instant.ts"

/**
 * `pending`: waits for its turn, its time or its retry. `delivered`: the channel took it. `dead`: given up, with the reason.
 * `applied` and `refused`: a system action, which is never sent.
 */
export const DeliveryStatus = Schema.Literals(["pending", "delivered", "dead", "applied", "refused"])
export type DeliveryStatus = typeof DeliveryStatus.Type

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
  kind: Schema.String,
  channelType: Schema.NullOr(Schema.String),
  platformId: Schema.NullOr(Schema.String),
  threadId: Schema.NullOr(Schema.String),
  content: Schema.String,
  /** `session|channel|platform|thread`: within one lane, order holds. */
  lane: Schema.String,
  status: DeliveryStatus,
  attempts: Schema.Int,
  /** When it may be sent; null while another of its lane is ahead. */
  nextAttemptAt: Schema.NullOr(EpochMs),
  deliverAfter: Schema.NullOr(EpochMs),
  lastError: Schema.NullOr(Schema.String),
  platformMessageId: Schema.NullOr(Schema.String),
  /** The session's revision when its outcome changed: `delivered` rows are projected by it. */
  revision: Schema.Int,
  createdAt: EpochMs,
  endedAt: Schema.NullOr(EpochMs),
})
export type Delivery = typeof Delivery.Type

export const laneOf = (
  delivery: Pick<Delivery, "sessionId" | "channelType" | "platformId" | "threadId">,
): string =>
  JSON.stringify([delivery.sessionId, delivery.channelType, delivery.platformId, delivery.threadId])
