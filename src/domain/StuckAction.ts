/**
 * Whether a running container is stuck, from what it let the host see: its heartbeat, its claims, the tool in flight. Pure and
 * without allocation but for the answer, because every look asks it for every running session. All limits are instants up to
 * which silence is fine; one millisecond later it is not.
 *
 * A declared timeout D of a tool that started at T means "I may be silent until T + D", whatever came before T: so the ceiling
 * is at the later of `heartbeat + ceilingMs` and `T + D`, and a claim's limit at the later of `claim + claimToleranceMs` and
 * `T + D`. A start that can't be true (absent, before the spawn, in the future) is replaced by the claim's instant; for the
 * ceiling by that of the latest open claim, or by the spawn where none is open.
 */
import type { MessageId } from "./Ids.ts"
import type { EpochMs, Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

/**
 * What the host knows of one live container. The observations of the host itself (`spawnedAt`, `ageOrigin`, `firstSeenAt`) are
 * not in the future: when the clock was set back, the caller lowers them to the new "now".
 */
export interface Liveness {
  /** The fence: everything before it is ignored. */
  readonly spawnedAt: EpochMs
  /** Ages never start before this: 0, or after a clock jump the instant at which it was noticed. */
  readonly ageOrigin: EpochMs
  /** As `observeHeartbeat` clamped it; null: none yet. */
  readonly heartbeatAt: EpochMs | null
  /**
   * The open ones. `claimedAt` is the container's word in the host's time (null: unparsable), `firstSeenAt` the host's own. `answered`: a
   * heartbeat was once seen to come after the claim, whatever has become of the clocks since.
   */
  readonly claims: ReadonlyArray<{
    readonly messageId: MessageId
    readonly claimedAt: EpochMs | null
    readonly precision: "ms" | "s"
    readonly firstSeenAt: EpochMs
    readonly answered: boolean
  }>
  /** Any ack row of any status since the spawn. */
  readonly anyAck: boolean
  /** Since when something shown to it is due; null when nothing is. */
  readonly workDueSince: EpochMs | null
  readonly tool: {
    readonly tool: string
    readonly declaredTimeoutMs: number | null
    readonly startedAt: EpochMs | null
  } | null
}

/**
 * The figures are those that were compared: the age exceeds the limit. `ceilingMs` counts from the heartbeat, or from the work when that
 * came later, and `toleranceMs` from the claim, both with the declared timeout worked in. `nextChangeAt` is the first instant at which the same input means a kill.
 */
export type StuckAction =
  | { readonly _tag: "Ok"; readonly nextChangeAt: EpochMs | null }
  | { readonly _tag: "KillCeiling"; readonly heartbeatAgeMs: Millis; readonly ceilingMs: Millis }
  | {
      readonly _tag: "KillClaim"
      readonly messageId: MessageId
      readonly claimAgeMs: Millis
      readonly toleranceMs: Millis
    }
  | { readonly _tag: "KillStartup"; readonly ageMs: Millis; readonly limitMs: Millis }

/** A time cut to the second stands for any instant from itself to this much later. */
export const CUT_MS = 999

type Claim = Liveness["claims"][number]

/** First the ceiling, then the claims in the order given, then the startup limit. */
export const decideStuckAction = (liveness: Liveness, now: EpochMs, policy: Policy): StuckAction => {
  const { spawnedAt, ageOrigin, claims } = liveness
  const declaredMs = declaredTimeout(liveness, policy)
  const heartbeatAt =
    liveness.heartbeatAt !== null && liveness.heartbeatAt >= spawnedAt ? liveness.heartbeatAt : null
  let firstLimit = Infinity

  if (heartbeatAt !== null) {
    // Who had nothing to do may have been silent: its silence counts from the work on.
    const origin = Math.max(heartbeatAt, ageOrigin, liveness.workDueSince ?? 0)
    let limit = origin + policy.ceilingMs
    if (declaredMs > 0) limit = extendedLimit(liveness, limit, declaredMs, latestClaim(liveness), now)
    if (now > limit) return { _tag: "KillCeiling", heartbeatAgeMs: now - origin, ceilingMs: limit - origin }
    firstLimit = limit
  }

  for (let index = 0; index < claims.length; index++) {
    const claim = claims[index] as Claim
    if (isFenced(claim, spawnedAt)) continue
    if (claim.answered) continue
    if (heartbeatAt !== null && heartbeatAt > earliestClaim(claim)) continue
    const origin = Math.max(claimOrigin(claim), ageOrigin)
    let limit = origin + policy.claimToleranceMs
    if (declaredMs > 0) limit = extendedLimit(liveness, limit, declaredMs, origin, now)
    if (now > limit) {
      return {
        _tag: "KillClaim",
        messageId: claim.messageId,
        claimAgeMs: now - origin,
        toleranceMs: limit - origin,
      }
    }
    if (limit < firstLimit) firstLimit = limit
  }

  // A container that nobody gave any work may rest without a sign of life: the clock of this rule starts with the work.
  if (heartbeatAt === null && !liveness.anyAck && liveness.workDueSince !== null) {
    const origin = Math.max(spawnedAt, ageOrigin, liveness.workDueSince)
    const limit = origin + policy.startupLimitMs
    if (now > limit) return { _tag: "KillStartup", ageMs: now - origin, limitMs: policy.startupLimitMs }
    if (limit < firstLimit) firstLimit = limit
  }

  return { _tag: "Ok", nextChangeAt: firstLimit === Infinity ? null : firstLimit + 1 }
}

/**
 * Whether the answer could depend on `workDueSince`. Finding out what is due to a container costs a question to the ledger; of one that
 * this rule can't condemn it may simply be supposed that it has something to do.
 */
export const mayBeCondemned = (
  seen: Pick<Liveness, "heartbeatAt" | "anyAck">,
  now: EpochMs,
  policy: Pick<Policy, "ceilingMs">,
): boolean => (seen.heartbeatAt === null ? !seen.anyAck : now > seen.heartbeatAt + policy.ceilingMs)

/** Capped, so that a container can't grant itself eternity; 0 when no tool in flight declares anything. */
const declaredTimeout = (liveness: Liveness, policy: Policy): number => {
  const declaredMs = liveness.tool === null ? null : liveness.tool.declaredTimeoutMs
  return declaredMs === null || !(declaredMs > 0) ? 0 : Math.min(declaredMs, policy.declaredTimeoutCapMs)
}

/** The limit with the declared timeout worked in. `fallback` stands in for a start that can't be true. */
const extendedLimit = (
  liveness: Liveness,
  limit: EpochMs,
  declaredMs: number,
  fallback: EpochMs,
  now: EpochMs,
): EpochMs => {
  const startedAt = liveness.tool === null ? null : liveness.tool.startedAt
  const usable = startedAt !== null && startedAt >= liveness.spawnedAt
  if (usable && startedAt <= now) {
    return Math.max(limit, Math.max(startedAt, liveness.ageOrigin) + declaredMs)
  }
  const withoutStart = Math.max(limit, fallback + declaredMs)
  // A start that is in the future now, and will not be any more before the limit, will count by then.
  return usable && startedAt <= withoutStart ? Math.max(limit, startedAt + declaredMs) : withoutStart
}

/** The container's word counts when it can be true: readable, and not in the future when the host first saw it. */
const claimCounts = (claim: Claim): boolean =>
  claim.claimedAt !== null && claim.claimedAt <= claim.firstSeenAt

/** The earliest instant that the claim can mean: a heartbeat after it may be one after the claim, and then it is alive. */
const earliestClaim = (claim: Claim): EpochMs =>
  claimCounts(claim) ? (claim.claimedAt as EpochMs) : claim.firstSeenAt

/** The latest instant that its own word can mean, or the host's first sight where that word does not count. */
const endOfClaim = (claim: Claim): EpochMs =>
  claimCounts(claim)
    ? (claim.claimedAt as EpochMs) + (claim.precision === "s" ? CUT_MS : 0)
    : claim.firstSeenAt

/** Whether it was made before the spawn, for certain. */
const isFenced = (claim: Claim, spawnedAt: EpochMs): boolean => endOfClaim(claim) < spawnedAt

/** The latest instant that the claim can mean, from which its age counts; it was made by the time that the host saw it. */
const claimOrigin = (claim: Claim): EpochMs => Math.min(endOfClaim(claim), claim.firstSeenAt)

const latestClaim = (liveness: Liveness): EpochMs => {
  let latest = Math.max(liveness.spawnedAt, liveness.ageOrigin)
  for (let index = 0; index < liveness.claims.length; index++) {
    const claim = liveness.claims[index] as Claim
    if (!isFenced(claim, liveness.spawnedAt)) latest = Math.max(latest, claimOrigin(claim))
  }
  return latest
}
