/**
 * A delivery: the durable state of one outbound message on its way to a channel, separate from the execution that wrote it. Its
 * status changes by the table below and in no other way: the status of a row is a type that only this module can make.
 */
import { Schema } from "effect"
import { Address } from "./Address.ts"
import { DeliveryId, IncarnationNumber, MessageId, OutboundId, SessionId } from "./Ids.ts"
import { DAY_MS, doubled, EpochMs, MAX_EPOCH_MS, type Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

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
  pending: { send: "delivered", retry: "pending", giveUp: "dead", refuse: "refused", apply: "applied" },
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

/** The fields of a delivery that nobody has tried yet. */
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

/*
 * What becomes of a delivery that the channel did not take: another attempt after a backoff, or dead with a reason, so that the
 * next in its lane can go.
 */

/** The longest pause that a channel can ask for; a `retry-after` of years must not bury a delivery. */
export const MAX_ASKED_PAUSE_MS = DAY_MS

/** `retryAfterMs`: how long the channel asked to be left alone; null when it said nothing. */
export interface DeliveryFailure {
  readonly kind: "Transient" | "Permanent"
  readonly message: string
  readonly retryAfterMs: number | null
}

/** `attempts`: spent, this one included unless the channel asked for the wait. */
export type DeliveryDecision =
  | {
      readonly _tag: "Retry"
      readonly attempts: number
      readonly nextAttemptAt: EpochMs
      readonly delayMs: Millis
    }
  | { readonly _tag: "Dead"; readonly attempts: number; readonly reason: string }

type DeliveryLimits = Pick<Policy, "deliveryLimit" | "deliveryBaseMs" | "deliveryCapMs" | "deliveryMaxAgeMs">

/**
 * A permanent failure is final. A transient one is tried again after `deliveryBaseMs · 2^n` (n attempts spent before this one), at
 * most `deliveryCapMs`, or after what the channel asked for if that is longer. A wait that the channel asked for spends no attempt.
 * After `deliveryLimit` attempts, or `deliveryMaxAgeMs` after the first one, it is dead.
 */
export const decideDelivery = (
  delivery: Pick<Delivery, "attempts" | "firstAttemptAt">,
  failure: DeliveryFailure,
  now: EpochMs,
  policy: DeliveryLimits,
): DeliveryDecision => {
  const asked = askedPause(failure.retryAfterMs)
  const attempts = delivery.attempts + (failure.kind === "Transient" && asked > 0 ? 0 : 1)
  if (failure.kind === "Permanent") return { _tag: "Dead", attempts, reason: failure.message }
  if (attempts >= policy.deliveryLimit) {
    return { _tag: "Dead", attempts, reason: `given up after ${attempts} attempts: ${failure.message}` }
  }
  const deadline = (delivery.firstAttemptAt ?? now) + policy.deliveryMaxAgeMs
  if (now >= deadline) return { _tag: "Dead", attempts, reason: agedOut(failure.message, policy) }
  const backoff = Math.min(doubled(policy.deliveryBaseMs, delivery.attempts), policy.deliveryCapMs)
  const delayMs = Math.min(Math.max(backoff, asked), deadline - now)
  return { _tag: "Retry", attempts, nextAttemptAt: Math.min(now + delayMs, MAX_EPOCH_MS), delayMs }
}

/**
 * Why a row whose time has come is not sent any more: its wait reached to the end of its days. One that only waited for the daemon
 * has its attempt.
 */
export const deadOfAge = (
  delivery: Pick<Delivery, "firstAttemptAt" | "nextAttemptAt" | "lastError">,
  policy: DeliveryLimits,
): string | undefined =>
  delivery.firstAttemptAt !== null &&
  (delivery.nextAttemptAt ?? 0) >= delivery.firstAttemptAt + policy.deliveryMaxAgeMs
    ? agedOut(delivery.lastError ?? "no reason is known", policy)
    : undefined

const agedOut = (reason: string, { deliveryMaxAgeMs }: DeliveryLimits): string =>
  `given up ${deliveryMaxAgeMs} ms after its first attempt (deliveryMaxAgeMs): ${reason}`

const askedPause = (retryAfterMs: number | null): Millis =>
  retryAfterMs !== null && retryAfterMs > 0 ? Math.min(Math.ceil(retryAfterMs), MAX_ASKED_PAUSE_MS) : 0
