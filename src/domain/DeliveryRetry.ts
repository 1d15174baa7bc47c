/**
 * What becomes of a delivery that the channel did not take: another attempt after a backoff, or dead with a reason, so that the
 * next in its lane can go.
 */
import type { Delivery } from "./Delivery.ts"
import { type EpochMs, MAX_EPOCH_MS, type Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

/** A channel may ask for a longer pause than the backoff's cap, up to this many times it: an hour by default. */
export const RETRY_AFTER_CAPS = 12

/** `retryAfterMs`: how long the channel asked to be left alone; null when it said nothing. */
export interface DeliveryFailure {
  readonly kind: "Transient" | "Permanent"
  readonly message: string
  readonly retryAfterMs: number | null
}

/** `attempts`: made, this one included. */
export type DeliveryDecision =
  | {
      readonly _tag: "Retry"
      readonly attempts: number
      readonly nextAttemptAt: EpochMs
      readonly delayMs: Millis
    }
  | { readonly _tag: "Dead"; readonly attempts: number; readonly reason: string }

/**
 * A permanent failure is final. A transient one is tried again after `deliveryBaseMs · 2^n` (n attempts before this one), at
 * most `deliveryCapMs`, or after what the channel asked for if that is longer; after `deliveryLimit` attempts it is dead.
 */
export const decideDelivery = (
  delivery: Pick<Delivery, "attempts">,
  failure: DeliveryFailure,
  now: EpochMs,
  policy: Pick<Policy, "deliveryLimit" | "deliveryBaseMs" | "deliveryCapMs">,
): DeliveryDecision => {
  const attempts = delivery.attempts + 1
  if (failure.kind === "Permanent") return { _tag: "Dead", attempts, reason: failure.message }
  if (attempts >= policy.deliveryLimit) {
    return { _tag: "Dead", attempts, reason: `given up after ${attempts} attempts: ${failure.message}` }
  }
  const backoff = Math.min(
    policy.deliveryBaseMs * 2 ** Math.min(Math.max(0, delivery.attempts), 50),
    policy.deliveryCapMs,
  )
  const delayMs = Math.max(backoff, askedPause(failure.retryAfterMs, policy.deliveryCapMs))
  return { _tag: "Retry", attempts, nextAttemptAt: Math.min(now + delayMs, MAX_EPOCH_MS), delayMs }
}

/** Ten years: no wait is longer. */
const MAX_WAIT_MS = 315_576_000_000

const askedPause = (retryAfterMs: number | null, capMs: Millis): Millis =>
  retryAfterMs !== null && retryAfterMs > 0
    ? Math.min(Math.ceil(retryAfterMs), capMs * RETRY_AFTER_CAPS, MAX_WAIT_MS)
    : 0
