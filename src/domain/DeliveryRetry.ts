/**
 * What becomes of a delivery that the channel did not take: another attempt after a backoff, or dead with a reason, so that the
 * next in its lane can go.
 */
import type { Delivery } from "./Delivery.ts"
import { DAY_MS, doubled, type EpochMs, MAX_EPOCH_MS, type Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

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
