/**
 * Which sessions get a container now: caps, fairness, the rate of starts, and the backoff of a session whose container can't be
 * started or dies before it claims. The queue itself is the ledger's; this only picks from what is due.
 */
import type { GroupId, SessionId } from "./Ids.ts"
import { doubled, type EpochMs, type Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

/** Before the next wake, after `failures` failed ones in a row: `wakeBackoffBaseMs`, doubling, at most `wakeBackoffCapMs`. */
export const wakeBackoffMs = (
  failures: number,
  policy: Pick<Policy, "wakeBackoffBaseMs" | "wakeBackoffCapMs">,
): Millis =>
  failures < 1 ? 0 : Math.min(doubled(policy.wakeBackoffBaseMs, failures - 1), policy.wakeBackoffCapMs)

/** A session with something due and no container. */
export interface WakeCandidate {
  readonly sessionId: SessionId
  readonly groupId: GroupId
  readonly priority: number
  readonly wakeAt: EpochMs
  readonly maxContainersPerGroup: number
}

export interface WakeInput {
  readonly candidates: ReadonlyArray<WakeCandidate>
  /** Containers that live or are being started. */
  readonly liveTotal: number
  readonly liveByGroup: ReadonlyMap<GroupId, number>
  readonly maxContainers: number
  readonly startsLeft: number
  readonly breaker: "closed" | "open" | "probe"
}

export type WaitReason = "global-cap" | "group-cap" | "start-rate" | "breaker"

/** Every candidate is in exactly one of the two, in the order of the queue. */
export interface WakePlan {
  readonly admit: ReadonlyArray<SessionId>
  readonly waiting: ReadonlyArray<{ readonly sessionId: SessionId; readonly reason: WaitReason }>
}

/**
 * By priority, then due time, then id. A group at its cap holds up nobody else. An open breaker admits none, a probing one
 * exactly one. A session that is named twice is considered once.
 */
export const planWakes = (input: WakeInput): WakePlan => {
  const admit: Array<SessionId> = []
  const waiting: Array<{ readonly sessionId: SessionId; readonly reason: WaitReason }> = []
  const considered = new Set<SessionId>()
  const startedByGroup = new Map<GroupId, number>()
  for (const candidate of input.candidates.toSorted(byTurn)) {
    if (considered.has(candidate.sessionId)) continue
    considered.add(candidate.sessionId)
    const started = startedByGroup.get(candidate.groupId) ?? 0
    const reason = waitReason(input, candidate, admit.length, started)
    if (reason !== null) {
      waiting.push({ sessionId: candidate.sessionId, reason })
      continue
    }
    admit.push(candidate.sessionId)
    startedByGroup.set(candidate.groupId, started + 1)
  }
  return { admit, waiting }
}

const byTurn = (left: WakeCandidate, right: WakeCandidate): number =>
  right.priority - left.priority || left.wakeAt - right.wakeAt || byId(left.sessionId, right.sessionId)

const byId = (left: string, right: string): number => Number(left > right) - Number(left < right)

const waitReason = (
  input: WakeInput,
  candidate: WakeCandidate,
  started: number,
  startedInGroup: number,
): WaitReason | null => {
  if (input.breaker === "open" || (input.breaker === "probe" && started >= 1)) return "breaker"
  if (input.liveTotal + started >= input.maxContainers) return "global-cap"
  const liveInGroup = (input.liveByGroup.get(candidate.groupId) ?? 0) + startedInGroup
  if (liveInGroup >= candidate.maxContainersPerGroup) return "group-cap"
  return started + 1 > input.startsLeft ? "start-rate" : null
}

/** A bucket of starts: it fills at `maxPerSecond` and holds one second's worth. `tokens` are thousandths-exact. */
export interface StartBucket {
  readonly tokens: number
  readonly at: EpochMs
}

export const fullStarts = (now: EpochMs, maxPerSecond: number): StartBucket => ({
  tokens: maxPerSecond,
  at: now,
})

/** The bucket as it stands at `now`. When the clock went back, nothing is added and it goes on from there. */
export const refillStarts = (bucket: StartBucket, now: EpochMs, maxPerSecond: number): StartBucket => {
  const elapsedMs = Math.max(0, now - bucket.at)
  // In thousandths of a token all of it is whole numbers, so that many small refills add up to one large one.
  const thousandths = Math.round(bucket.tokens * 1_000) + elapsedMs * maxPerSecond
  return { tokens: Math.min(maxPerSecond * 1_000, thousandths) / 1_000, at: now }
}

/** The bucket after `starts` were made; it never goes below empty. */
export const takeStarts = (bucket: StartBucket, starts: number): StartBucket => ({
  tokens: Math.max(0, Math.round((bucket.tokens - starts) * 1_000) / 1_000),
  at: bucket.at,
})

/** When the bucket, left alone, next holds a whole start; its own instant when it does already. */
export const nextStartAt = (bucket: StartBucket, maxPerSecond: number): EpochMs => {
  const missing = 1_000 - Math.round(bucket.tokens * 1_000)
  return missing <= 0 ? bucket.at : bucket.at + Math.ceil(missing / maxPerSecond)
}
