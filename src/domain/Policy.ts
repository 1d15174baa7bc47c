/**
 * Policy: every limit that a decision compares with. One global value, overridable per group field by field; a decision
 * receives the resolved one, so that no limit hides in code.
 */
import { Schema } from "effect"
import { count, defaultsOf, millis, partly, preset, withDurations } from "./Fields.ts"
import { DAY_MS, HOUR_MS, Millis, MINUTE_MS, SECOND_MS } from "./Instant.ts"

/** Each field with its default and what the manual says of it: it is a setting, too. */
export const Policy = Schema.Struct({
  ceilingMs: millis(
    30 * MINUTE_MS,
    "A container that has work and gives no heartbeat for this long is killed, unless the tool in flight declared a longer timeout.",
  ),
  claimToleranceMs: millis(MINUTE_MS, "A claim older than this without a heartbeat after it kills."),
  startupLimitMs: millis(
    5 * MINUTE_MS,
    "A container with due work that shows no sign of life for this long after its spawn is killed.",
  ),
  declaredTimeoutCapMs: millis(24 * HOUR_MS, "The longest timeout that a tool can declare for itself."),
  idleMs: millis(5 * MINUTE_MS, "A container that did nothing for this long is stopped."),
  graceMs: millis(10 * SECOND_MS, "Between SIGTERM and SIGKILL."),
  retryLimit: preset(count(0, 100), 5, "Retries after the first execution."),
  retryBaseMs: millis(5 * SECOND_MS, "Backoff before the first retry; it doubles with each."),
  retryCapMs: preset(Schema.NullOr(Millis), null, "The longest backoff before a retry."),
  retryJitter: preset(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    0,
    "Share of the backoff that is added at random.",
  ),
  wakeBackoffBaseMs: millis(
    10 * SECOND_MS,
    "Backoff of a session whose container can't be started, or dies before it claims; it doubles with each failure.",
  ),
  wakeBackoffCapMs: millis(5 * MINUTE_MS, "The longest backoff of such a session."),
  maxContainersPerGroup: preset(count(1, 100_000), 10, "Live containers of one group."),
  maxMessagesPerPrompt: preset(count(1, 1_000), 10, "Messages that the runner may put into one prompt."),
  maxAdmitted: preset(count(1, 10_000), 100, "Messages shown to a container at once."),
  maxQueuedMessages: preset(
    count(1, 1_000_000),
    10_000,
    "Unfinished messages of one session; beyond, new ones are refused.",
  ),
  deliveryLimit: preset(
    count(1, 1_000),
    12,
    "Attempts of one delivery before it is dead. A wait that the receiver asks for spends none.",
  ),
  deliveryBaseMs: millis(SECOND_MS, "Backoff before the second attempt of a delivery; it doubles."),
  deliveryCapMs: millis(5 * MINUTE_MS, "The longest backoff of a delivery."),
  deliveryMaxAgeMs: millis(
    3 * DAY_MS,
    "A delivery that is not taken this long after its first attempt is dead, however often its channel asked for a wait.",
  ),
  maxAgentHops: preset(count(1, 1_000), 10, "Messages between agents that may lead to each other."),
  maxAgentMessagesPerHour: preset(
    count(1, 1_000_000),
    200,
    "Messages that the agents of two groups may send each other within an hour.",
  ),
  contextRetentionMs: millis(30 * DAY_MS, "Context rows that no container took expire after this."),
})
export type Policy = typeof Policy.Type

/** What a group may override: any field. */
export const PolicyOverride = partly(Policy)
export type PolicyOverride = typeof PolicyOverride.Type

/** The same as people may write it: `{"idleMs": "5 minutes"}`. */
export const PolicyText = partly(Schema.Struct(withDurations(Policy.fields)))

export const defaultPolicy: Policy = defaultsOf(Policy)

/** The policy of one group: the global one with the group's fields laid over it. */
export const resolvePolicy = (global: Policy, override: PolicyOverride): Policy => ({
  ...global,
  ...override,
})

/** Limits of the daemon as a whole, not of a group. */
export const HostLimits = Schema.Struct({
  maxContainers: preset(count(1, 100_000), 20, "Live containers of all groups together."),
  maxStartsPerSecond: preset(
    count(1, 10_000),
    20,
    "Container starts per second, so that a host with many missed tasks does not start them all at once.",
  ),
  // Ten times what a container can write in its life: none fills a channel that others use, too.
  maxPendingDeliveries: preset(
    count(1, 10_000_000),
    100_000,
    "Pending deliveries of one channel; beyond, messages whose answers would go there are refused.",
  ),
  maxContentBytes: preset(count(1, 16 * 1024 * 1024), 1024 * 1024, "Size of one message's content."),
  historyRetentionMs: millis(
    30 * DAY_MS,
    "How long finished messages, their attempts, runs and deliveries are kept.",
  ),
  maxEvents: preset(count(100, 100_000_000), 100_000, "Rows of the event log."),
})
export type HostLimits = typeof HostLimits.Type

export const defaultHostLimits: HostLimits = defaultsOf(HostLimits)
