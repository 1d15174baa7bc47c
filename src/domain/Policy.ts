/**
 * Policy: every limit that a decision compares with. One global value, overridable per group field by field; a decision
 * receives the resolved one, so that no limit hides in code.
 */
import { Schema } from "effect"
import { DAY_MS, HOUR_MS, Millis, MINUTE_MS, SECOND_MS } from "./Instant.ts"

const count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

export const Policy = Schema.Struct({
  /** A heartbeat older than this (or than the declared timeout of the tool in flight) kills: the agent is stuck. */
  ceilingMs: Millis,
  /** A claim older than this without a heartbeat after it kills. */
  claimToleranceMs: Millis,
  /** A container with due work that shows neither heartbeat nor ack for this long after its spawn is killed. */
  startupLimitMs: Millis,
  /** The longest timeout that a tool can declare for itself. */
  declaredTimeoutCapMs: Millis,
  /** A container that did nothing for this long is stopped. */
  idleMs: Millis,
  /** Between SIGTERM and SIGKILL. */
  graceMs: Millis,
  /** Retries after the first execution. */
  retryLimit: count(0, 100),
  /** Backoff after the n-th try: `retryBaseMs · 2^n`, at most `retryCapMs`. */
  retryBaseMs: Millis,
  retryCapMs: Schema.NullOr(Millis),
  /** Share of the backoff, 0 to 1, added at random. */
  retryJitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  /** Backoff of a session whose container can't be started, or dies before it claims: doubles from base to cap. */
  wakeBackoffBaseMs: Millis,
  wakeBackoffCapMs: Millis,
  /** Live containers: of one group. The global cap is the daemon's. */
  maxContainersPerGroup: count(1, 100_000),
  /** How many messages the runner may put into one prompt. */
  maxMessagesPerPrompt: count(1, 1_000),
  /** Messages shown to a container at once. */
  maxAdmitted: count(1, 10_000),
  /** Non-terminal messages of one session: beyond, `send` is refused. */
  maxQueuedMessages: count(1, 1_000_000),
  /** Attempts of one delivery before it is dead. */
  deliveryLimit: count(1, 1_000),
  deliveryBaseMs: Millis,
  deliveryCapMs: Millis,
  /** A delivery that is not taken this long after its first attempt is dead, however often its channel asked for a wait. */
  deliveryMaxAgeMs: Millis,
  /** Messages between agents that may lead to each other. */
  maxAgentHops: count(1, 1_000),
  /** Messages that two groups' agents may send each other within an hour. */
  maxAgentMessagesPerHour: count(1, 1_000_000),
  /** Context rows (`trigger=0`, `system`) that no container took expire after this. */
  contextRetentionMs: Millis,
})
export type Policy = typeof Policy.Type

/** What a group may override: any field. */
export const PolicyOverride = Schema.Struct({
  ceilingMs: Schema.optionalKey(Policy.fields.ceilingMs),
  claimToleranceMs: Schema.optionalKey(Policy.fields.claimToleranceMs),
  startupLimitMs: Schema.optionalKey(Policy.fields.startupLimitMs),
  declaredTimeoutCapMs: Schema.optionalKey(Policy.fields.declaredTimeoutCapMs),
  idleMs: Schema.optionalKey(Policy.fields.idleMs),
  graceMs: Schema.optionalKey(Policy.fields.graceMs),
  retryLimit: Schema.optionalKey(Policy.fields.retryLimit),
  retryBaseMs: Schema.optionalKey(Policy.fields.retryBaseMs),
  retryCapMs: Schema.optionalKey(Policy.fields.retryCapMs),
  retryJitter: Schema.optionalKey(Policy.fields.retryJitter),
  wakeBackoffBaseMs: Schema.optionalKey(Policy.fields.wakeBackoffBaseMs),
  wakeBackoffCapMs: Schema.optionalKey(Policy.fields.wakeBackoffCapMs),
  maxContainersPerGroup: Schema.optionalKey(Policy.fields.maxContainersPerGroup),
  maxMessagesPerPrompt: Schema.optionalKey(Policy.fields.maxMessagesPerPrompt),
  maxAdmitted: Schema.optionalKey(Policy.fields.maxAdmitted),
  maxQueuedMessages: Schema.optionalKey(Policy.fields.maxQueuedMessages),
  deliveryLimit: Schema.optionalKey(Policy.fields.deliveryLimit),
  deliveryBaseMs: Schema.optionalKey(Policy.fields.deliveryBaseMs),
  deliveryCapMs: Schema.optionalKey(Policy.fields.deliveryCapMs),
  deliveryMaxAgeMs: Schema.optionalKey(Policy.fields.deliveryMaxAgeMs),
  maxAgentHops: Schema.optionalKey(Policy.fields.maxAgentHops),
  maxAgentMessagesPerHour: Schema.optionalKey(Policy.fields.maxAgentMessagesPerHour),
  contextRetentionMs: Schema.optionalKey(Policy.fields.contextRetentionMs),
})
export type PolicyOverride = typeof PolicyOverride.Type

export const defaultPolicy: Policy = {
  ceilingMs: 30 * MINUTE_MS,
  claimToleranceMs: MINUTE_MS,
  startupLimitMs: 5 * MINUTE_MS,
  declaredTimeoutCapMs: 24 * HOUR_MS,
  idleMs: 5 * MINUTE_MS,
  graceMs: 10 * SECOND_MS,
  retryLimit: 5,
  retryBaseMs: 5 * SECOND_MS,
  retryCapMs: null,
  retryJitter: 0,
  wakeBackoffBaseMs: 10 * SECOND_MS,
  wakeBackoffCapMs: 5 * MINUTE_MS,
  maxContainersPerGroup: 10,
  maxMessagesPerPrompt: 10,
  maxAdmitted: 100,
  maxQueuedMessages: 10_000,
  deliveryLimit: 12,
  deliveryBaseMs: SECOND_MS,
  deliveryCapMs: 5 * MINUTE_MS,
  deliveryMaxAgeMs: 3 * DAY_MS,
  maxAgentHops: 10,
  maxAgentMessagesPerHour: 200,
  contextRetentionMs: 30 * DAY_MS,
}

/** The policy of one group: the global one with the group's fields laid over it. */
export const resolvePolicy = (global: Policy, override: PolicyOverride): Policy => ({
  ...global,
  ...override,
})

/** Limits of the daemon as a whole, not of a group. */
export const HostLimits = Schema.Struct({
  /** Live containers of all groups together. */
  maxContainers: count(1, 100_000),
  /** Container starts per second, so that a host with many missed tasks does not start them all at once. */
  maxStartsPerSecond: count(1, 10_000),
  /** Pending deliveries of one channel: beyond, `send` to a session that answers there is refused. */
  maxPendingDeliveries: count(1, 10_000_000),
  /** Bytes of one message's content. */
  maxContentBytes: count(1, 16 * 1024 * 1024),
  /** Terminal messages, their attempts, runs and deliveries are kept this long. */
  historyRetentionMs: Millis,
  /** Rows of the event log. */
  maxEvents: count(100, 100_000_000),
})
export type HostLimits = typeof HostLimits.Type

export const defaultHostLimits: HostLimits = {
  maxContainers: 20,
  maxStartsPerSecond: 20,
  // Ten times what a container can write in its life: none fills a channel that others use, too.
  maxPendingDeliveries: 100_000,
  maxContentBytes: 1024 * 1024,
  historyRetentionMs: 30 * DAY_MS,
  maxEvents: 100_000,
}
