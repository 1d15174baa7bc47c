/** An attempt: one claim of one message by one incarnation. At most one is open per message; it ends with one outcome. */
import { Schema } from "effect"
import { IncarnationNumber, MessageId, SessionId } from "./Ids.ts"
import { doubled, EpochMs, MAX_EPOCH_MS, MAX_MILLIS, type Millis } from "./Instant.ts"
import { isTerminal, type Message, wakes } from "./Message.ts"
import type { Policy } from "./Policy.ts"

/**
 * `completed`, `skipped` and `failed` are the container's own words. `crashed`: it died with the claim open. `stuck`: the host
 * killed it for silence. `host-stopped`: the host stopped it for a reason of its own. `released`: the container gave it back. `late`: the message was terminal already.
 */
export const AttemptOutcome = Schema.Literals([
  "completed",
  "skipped",
  "failed",
  "crashed",
  "stuck",
  "host-stopped",
  "released",
  "late",
])
export type AttemptOutcome = typeof AttemptOutcome.Type

export const Attempt = Schema.Struct({
  messageId: MessageId,
  /** 1, 2, 3… per message. */
  number: Schema.Int,
  sessionId: SessionId,
  incarnation: IncarnationNumber,
  claimedAt: EpochMs,
  endedAt: Schema.NullOr(EpochMs),
  outcome: Schema.NullOr(AttemptOutcome),
  /** Whether it spent a try; null while open. */
  costsTry: Schema.NullOr(Schema.Boolean),
  error: Schema.NullOr(Schema.String),
})
export type Attempt = typeof Attempt.Type

/*
 * What becomes of a message when one of its attempts ends: done, given back at no cost, tried again after a backoff, or failed
 * for good. An attempt ends once; asking again about one that has ended changes nothing.
 */

export type RetryDecision =
  /** Nothing to decide: the attempt or its message has ended, or the message has its next instant already. */
  | { readonly _tag: "AlreadyClosed" }
  | { readonly _tag: "Complete" }
  | { readonly _tag: "Skip" }
  /** Due again at no cost. */
  | { readonly _tag: "Release"; readonly dueAt: EpochMs }
  /** `tries`: spent, this one included. */
  | { readonly _tag: "Retry"; readonly tries: number; readonly dueAt: EpochMs; readonly backoffMs: Millis }
  | {
      readonly _tag: "Fail"
      readonly tries: number
      readonly reason: "retries-exhausted" | "not-retryable"
    }

/** How an attempt ended. `retryable: false` is the container's word that trying again is of no use. */
export interface AttemptEnding {
  readonly outcome: AttemptOutcome
  readonly retryable: boolean
  readonly at: EpochMs
}

/**
 * `retryBaseMs · 2^tries`, where `tries` were spent before the one that just ended, and a random share of it on top; never more
 * than `retryCapMs`, jitter included. `random`: 0 to 1.
 */
export const backoffMs = (
  tries: number,
  policy: Pick<Policy, "retryBaseMs" | "retryCapMs" | "retryJitter">,
  random: number,
): Millis => {
  const limit = Math.min(policy.retryCapMs ?? MAX_MILLIS, MAX_MILLIS)
  const share = random > 0 ? Math.min(random, 1) : 0
  return Math.floor(Math.min(doubled(policy.retryBaseMs, tries) * (1 + policy.retryJitter * share), limit))
}

/** Whether an attempt with this end spends a try: the container died or hung with it, or says itself that it failed. */
export const costsTry = (outcome: AttemptOutcome): boolean => COSTS_TRY[outcome]

const COSTS_TRY: { readonly [Outcome in AttemptOutcome]: boolean } = {
  completed: false,
  skipped: false,
  failed: true,
  crashed: true,
  stuck: true,
  "host-stopped": false,
  released: false,
  late: false,
}

export const decideRetry = (
  message: Pick<Message, "state" | "tries" | "dueAt" | "trigger" | "kind">,
  attempt: Pick<Attempt, "endedAt">,
  end: AttemptEnding,
  policy: Policy,
  random: number,
): RetryDecision => {
  if (attempt.endedAt !== null || isTerminal(message.state) || end.outcome === "late") {
    return { _tag: "AlreadyClosed" }
  }
  if (end.outcome === "completed") return { _tag: "Complete" }
  if (end.outcome === "skipped") return { _tag: "Skip" }
  // Context rides along: whatever happened to the container is no fault of it.
  if (!costsTry(end.outcome) || !wakes(message)) {
    return { _tag: "Release", dueAt: Math.max(message.dueAt, end.at) }
  }
  // It was scheduled already: another look must not push it further, nor spend a second try for one execution.
  if (message.state === "pending" && message.dueAt > end.at) return { _tag: "AlreadyClosed" }
  const tries = message.tries + 1
  if (!end.retryable) return { _tag: "Fail", tries, reason: "not-retryable" }
  if (tries > policy.retryLimit) return { _tag: "Fail", tries, reason: "retries-exhausted" }
  const backoff = backoffMs(message.tries, policy, random)
  return { _tag: "Retry", tries, dueAt: Math.min(end.at + backoff, MAX_EPOCH_MS), backoffMs: backoff }
}
