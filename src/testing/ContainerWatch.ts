/**
 * The invariants about killing (security.md §6: 3 and 6): whoever made progress is left alone, whoever is silent for too long is
 * gone in time. Ages are elapsed time, by the word of the containers themselves, so that no jump of a clock excuses anything.
 */
import { MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import type { ContainerRef } from "../services/ContainerRuntime.ts"
import { GroundTruth } from "./GroundTruth.ts"
import type { LedgerWatch } from "./LedgerWatch.ts"
import type { SeriesWatchOptions } from "./SeriesWatch.ts"
import type { WorldShape } from "./WorldShape.ts"

export interface ContainerWatchOptions extends Omit<SeriesWatchOptions, "wall"> {
  readonly watch: LedgerWatch
  readonly shape: WorldShape
}

/** What a look, its plan and the signal take together, and the jump of a clock that is too small to be noticed. */
const SLACK_MS = 12 * SECOND_MS
/** A heartbeat as young as this may have come after the look. */
const MOMENT_MS = SECOND_MS
/** A daemon may need a moment to notice that all is well again, a backed-off probe included. */
const RECOVERY_MS = 6 * MINUTE_MS

/** Called before each signal: was it deserved? */
export const judgeSignal = (
  { truth, watch, now, violate, shape }: ContainerWatchOptions,
  ref: ContainerRef,
  name: "SIGTERM" | "SIGKILL",
): void => {
  const { session, incarnation } = ref.labels
  const key = GroundTruth.key(session, incarnation)
  const container = truth.containers.get(key)
  const life = watch.incarnations.get(key)
  if (container === undefined || container.diedAt !== null) return
  if (container.signalledAt !== null) {
    const waitedMs = now() - container.signalledAt
    const isJumpy = now() - truth.last("jump") < MINUTE_MS
    const isStranger = life?.phase === "ended"
    if (name === "SIGKILL" && waitedMs < shape.policy.graceMs - MOMENT_MS && !isJumpy && !isStranger)
      violate(6, `${key} had ${waitedMs} ms of grace, of ${shape.policy.graceMs}`)
    return
  }
  container.signalledAt = now()
  if (name === "SIGKILL") {
    if (life !== undefined && life.phase !== "ended" && life.stopReason === null)
      violate(6, `${key} was killed without being asked to stop`)
    return
  }
  const reason = life?.stopReason
  // The signal can come much later than the decision when the engine is slow.
  if (now() - truth.last("trouble") < MINUTE_MS && now() - truth.last("jump") > MINUTE_MS) return
  const isFresh = container.beatAt !== null && now() - container.beatAt < MOMENT_MS
  const beatAt = isFresh ? container.beatBefore : container.beatAt
  const beatAge = beatAt === null ? null : now() - beatAt
  if (reason === "ceiling") {
    if (beatAge === null || beatAge < shape.policy.ceilingMs - SLACK_MS)
      violate(6, `${key} was killed for its ceiling, its last heartbeat is ${beatAge} ms old`)
    const excusedMs = container.excusedUntil - now()
    if (excusedMs > 0) violate(6, `${key} was killed while its tool may be silent for ${excusedMs} ms more`)
  }
  if (reason === "claim") {
    const silent = [...container.claims.values()].some(
      (at) => (beatAt === null || beatAt <= at) && now() - at >= shape.policy.claimToleranceMs - SLACK_MS,
    )
    if (!silent || container.excusedUntil > now())
      violate(6, `${key} was killed for a claim, its last heartbeat is ${beatAge} ms old`)
  }
  if (reason === "idle" && container.beatAt === null && container.acked.size === 0) {
    const waiting = watch.shownTo(session, incarnation)
    if (waiting.length > 0)
      violate(6, `${key} was stopped as idle before it could begin with ${waiting.join(", ")}`)
  }
  if (reason === "startup") {
    const age = now() - container.bornAt
    if (age < shape.policy.startupLimitMs - SLACK_MS)
      violate(6, `${key} was killed for a slow start after ${age} ms`)
    if (beatAt !== null) violate(6, `${key} was killed for a slow start and had beaten`)
  }
}

/** Every now and then: does anything live that should not? `fair`: nothing is wrong that would excuse it. */
export const judgeSilence = ({ truth, now, violate, shape }: ContainerWatchOptions, fair: boolean): void => {
  if (!fair) {
    truth.mark("trouble")
    return
  }
  const { policy } = shape
  const limit =
    Math.max(policy.ceilingMs, policy.idleMs, policy.startupLimitMs, policy.claimToleranceMs) +
    policy.graceMs +
    2 * shape.sweepIntervalMs +
    RECOVERY_MS
  for (const [key, container] of truth.containers) {
    if (container.diedAt !== null || container.death !== null) continue
    const signs = [
      container.bornAt,
      container.beatAt ?? 0,
      container.excusedUntil,
      ...container.claims.values(),
    ]
    const since = Math.max(truth.last("trouble"), ...signs)
    if (now() - since > limit) violate(6, `${key} lives and gave no sign for ${now() - since} ms`)
  }
}
