/**
 * Policy: every limit that a decision compares with. One global value, overridable per group field by field; a decision
 * receives the resolved one, so that no limit hides in code.
 */
import { Schema } from "effect"
import { count, partly, withDurations } from "./Fields.ts"
import { DAY_MS, HOUR_MS, Millis, MINUTE_MS, SECOND_MS } from "./Instant.ts"

/** The descriptions are those of the manual: each field is a setting, too. */
export const Policy = Schema.Struct({
  ceilingMs: Millis.annotate({
    description:
      "A heartbeat older than this kills the container, unless the tool in flight declared a longer timeout.",
  }),
  claimToleranceMs: Millis.annotate({
    description: "A claim older than this without a heartbeat after it kills.",
  }),
  startupLimitMs: Millis.annotate({
    description:
      "A container with due work that shows no sign of life for this long after its spawn is killed.",
  }),
  declaredTimeoutCapMs: Millis.annotate({
    description: "The longest timeout that a tool can declare for itself.",
  }),
  idleMs: Millis.annotate({ description: "A container that did nothing for this long is stopped." }),
  graceMs: Millis.annotate({ description: "Between SIGTERM and SIGKILL." }),
  retryLimit: count(0, 100).annotate({ description: "Retries after the first execution." }),
  retryBaseMs: Millis.annotate({
    description: "Backoff before the first retry; it doubles with each.",
  }),
  retryCapMs: Schema.NullOr(Millis).annotate({ description: "The longest backoff before a retry." }),
  retryJitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).annotate({
    description: "Share of the backoff that is added at random.",
  }),
  wakeBackoffBaseMs: Millis.annotate({
    description:
      "Backoff of a session whose container can't be started, or dies before it claims; it doubles with each failure.",
  }),
  wakeBackoffCapMs: Millis.annotate({ description: "The longest backoff of such a session." }),
  maxContainersPerGroup: count(1, 100_000).annotate({ description: "Live containers of one group." }),
  maxMessagesPerPrompt: count(1, 1_000).annotate({
    description: "Messages that the runner may put into one prompt.",
  }),
  maxAdmitted: count(1, 10_000).annotate({ description: "Messages shown to a container at once." }),
  maxQueuedMessages: count(1, 1_000_000).annotate({
    description: "Unfinished messages of one session; beyond, new ones are refused.",
  }),
  deliveryLimit: count(1, 1_000).annotate({
    description: "Attempts of one delivery before it is dead. A wait that the receiver asks for spends none.",
  }),
  deliveryBaseMs: Millis.annotate({
    description: "Backoff before the second attempt of a delivery; it doubles.",
  }),
  deliveryCapMs: Millis.annotate({ description: "The longest backoff of a delivery." }),
  deliveryMaxAgeMs: Millis.annotate({
    description:
      "A delivery that is not taken this long after its first attempt is dead, however often its channel asked for a wait.",
  }),
  maxAgentHops: count(1, 1_000).annotate({
    description: "Messages between agents that may lead to each other.",
  }),
  maxAgentMessagesPerHour: count(1, 1_000_000).annotate({
    description: "Messages that the agents of two groups may send each other within an hour.",
  }),
  contextRetentionMs: Millis.annotate({
    description: "Context rows that no container took expire after this.",
  }),
})
export type Policy = typeof Policy.Type

/** What a group may override: any field. */
export const PolicyOverride = partly(Policy)
export type PolicyOverride = typeof PolicyOverride.Type

/** The same as people may write it: `{"idleMs": "5 minutes"}`. */
export const PolicyText = partly(Schema.Struct(withDurations(Policy.fields)))

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
  maxContainers: count(1, 100_000).annotate({ description: "Live containers of all groups together." }),
  maxStartsPerSecond: count(1, 10_000).annotate({
    description:
      "Container starts per second, so that a host with many missed tasks does not start them all at once.",
  }),
  maxPendingDeliveries: count(1, 10_000_000).annotate({
    description:
      "Pending deliveries of one channel; beyond, messages whose answers would go there are refused.",
  }),
  maxContentBytes: count(1, 16 * 1024 * 1024).annotate({ description: "Size of one message's content." }),
  historyRetentionMs: Millis.annotate({
    description: "How long finished messages, their attempts, runs and deliveries are kept.",
  }),
  maxEvents: count(100, 100_000_000).annotate({ description: "Rows of the event log." }),
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
