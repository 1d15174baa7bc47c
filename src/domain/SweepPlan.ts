/**
 * The sweep's planner: from what is true now to the ordered actions that it calls for, and the earliest instant at which the
 * answer would change without any event, so that one timer covers all sessions. `StuckAction.ts` decides who is stuck, `WakeAdmission.ts`
 * who wakes, and this module who is idle.
 */
import type { StopReason, StuckReason } from "./Incarnation.ts"
import { earliest, type EpochMs, type Millis } from "./Instant.ts"
import { type Live, livenessOf, type Stopping } from "./Life.ts"
import type { Policy } from "./Policy.ts"
import { decideStuckAction, type StuckAction } from "./StuckAction.ts"
import { planWakes, type WakeInput, type WakePlan } from "./WakeAdmission.ts"

/** One life as the planner sees it. */
export interface LiveView {
  readonly life: Live
  /** Waking messages that this container could work on now; see `dueTo`. */
  readonly due: "due" | "nothing"
  /** Something due can only be run by a fresh incarnation: stop this one as soon as it is free. */
  readonly needsFresh: boolean
  readonly policy: Policy
}

/**
 * Whether anything is due to it. `shown`: what it was shown is due and waits to be claimed. Who has not shown itself yet is still starting:
 * what it was shown is due to it, and the startup limit judges it.
 */
export const dueTo = (life: Live, due: boolean, shown: boolean): LiveView["due"] => {
  const isStarting = life.heartbeatAt === null && !life.anyAck
  return due || (shown && isStarting) ? "due" : "nothing"
}

export interface SweepSnapshot {
  /** Those about which something changed, or whose own next instant has come. */
  readonly live: ReadonlyArray<LiveView>
  readonly wakes: WakeInput
  /** The earliest instant that is known otherwise: of the ledger's indexes (due message, expiry, slot) and of lives that are not in `live`. */
  readonly knownNextAt: EpochMs | null
}

type Pair = Pick<Live, "incarnation" | "sessionId">

export type SweepAction =
  | (Pair & { readonly _tag: "Stop"; readonly reason: StopReason; readonly why: string })
  | (Pair & { readonly _tag: "Kill"; readonly graceMs: number })

export interface SweepPlan extends WakePlan {
  readonly actions: ReadonlyArray<SweepAction>
  readonly nextLookAt: EpochMs | null
}

/** What is stopped or killed frees its room at the next look. Wakes are in their order of fairness. */
export const planSweep = (snapshot: SweepSnapshot, now: EpochMs): SweepPlan => {
  const actions: Array<SweepAction> = []
  let nextLookAt = snapshot.knownNextAt
  for (const view of snapshot.live) {
    const decided = planLive(view, now)
    if (decided.action !== null) actions.push(decided.action)
    nextLookAt = earliest(nextLookAt, decided.nextChangeAt)
  }
  return { actions, nextLookAt, ...planWakes(snapshot.wakes) }
}

export interface LiveDecision {
  readonly action: SweepAction | null
  readonly nextChangeAt: EpochMs | null
}

/** An engine may take a SIGKILL that ends nothing: it is sent again this much later. */
const KILL_AGAIN_MS = 30_000

/** The grace of one whose SIGTERM the engine never hears counts from the first try. A jump of the clock takes nobody's grace. */
export const graceEnd = (life: Stopping, policy: Pick<Policy, "graceMs">): EpochMs =>
  Math.max(life.signalledAt ?? life.askedAt ?? Infinity, life.ageOrigin) + policy.graceMs

/** What one live container calls for, and the first instant at which the same view would call for something else. */
export const planLive = (view: LiveView, now: EpochMs): LiveDecision => {
  const { due, life, policy } = view
  const { incarnation, sessionId } = life
  if (life._tag === "Stopping") {
    if (life.kill === null && life.signalledAt === null) return { action: null, nextChangeAt: null }
    const killAt = life.kill === null ? graceEnd(life, policy) : life.kill.at + KILL_AGAIN_MS
    return now > killAt
      ? { action: { _tag: "Kill", sessionId, incarnation, graceMs: policy.graceMs }, nextChangeAt: null }
      : { action: null, nextChangeAt: killAt + 1 }
  }
  const stop = (reason: StopReason, why: string): LiveDecision => ({
    action: { _tag: "Stop", sessionId, incarnation, reason, why },
    nextChangeAt: null,
  })
  const claims = life.claims.length
  const tool = life.tool === null ? "none" : "in-flight"
  const stuck = decideStuckAction(livenessOf(life), now, policy)
  // Who has nothing to do may be silent for as long as idleMs says, also where that is longer than the ceiling.
  const resting = claims === 0 && tool === "none" && due === "nothing" && life.workDueSince === null
  if (stuck._tag !== "Ok" && !(resting && stuck._tag === "KillCeiling")) {
    return stop(STUCK_REASON[stuck._tag], describeStuck(stuck))
  }
  if (view.needsFresh && claims === 0 && tool === "none") {
    return stop("idle", "a retry needs a fresh container")
  }
  const activeAt = Math.max(life.activeAt, life.heartbeatAt ?? 0)
  const idle = decideIdle({ activeAt, ageOrigin: life.ageOrigin, openClaims: claims, tool, due }, now, policy)
  if (idle._tag === "Stop") return stop("idle", `idle for ${idle.idleForMs} ms`)
  const stuckAt = stuck._tag === "Ok" ? stuck.nextChangeAt : null
  return { action: null, nextChangeAt: earliest(stuckAt, idle.nextChangeAt) }
}

const STUCK_REASON: { readonly [Tag in Exclude<StuckAction["_tag"], "Ok">]: StuckReason } = {
  KillCeiling: "ceiling",
  KillClaim: "claim",
  KillStartup: "startup",
}

const describeStuck = (action: Exclude<StuckAction, { readonly _tag: "Ok" }>): string => {
  switch (action._tag) {
    case "KillCeiling":
      return `it gave no heartbeat for ${action.heartbeatAgeMs} ms, the limit is ${action.ceilingMs} ms`
    case "KillClaim":
      return `it claimed ${action.messageId} ${action.claimAgeMs} ms ago and went quiet, the limit is ${action.toleranceMs} ms`
    case "KillStartup":
      return `it showed no sign of life for ${action.ageMs} ms, the limit is ${action.limitMs} ms`
  }
}

/*
 * Whether a container has had nothing to do for long enough to be stopped. Stopping is graceful and costs no try, so this only
 * saves memory: whatever looks like work keeps it.
 */

export interface IdleInput {
  /** The last claim, ack, heartbeat, outbound row or delivery; the spawn before the first. */
  readonly activeAt: EpochMs
  /** Ages never start before this: 0, or after a clock jump the instant at which it was noticed. */
  readonly ageOrigin: EpochMs
  readonly openClaims: number
  readonly tool: "in-flight" | "none"
  readonly due: "due" | "nothing"
}

/** `nextChangeAt`: the first instant at which the same input means a stop; null while only an event can change the answer. */
export type IdleDecision =
  | { readonly _tag: "Stay"; readonly nextChangeAt: EpochMs | null }
  | { readonly _tag: "Stop"; readonly idleForMs: Millis }

export const decideIdle = (input: IdleInput, now: EpochMs, policy: Pick<Policy, "idleMs">): IdleDecision => {
  const busy = input.openClaims > 0 || input.tool === "in-flight" || input.due === "due"
  if (busy) return { _tag: "Stay", nextChangeAt: null }
  const origin = Math.max(input.activeAt, input.ageOrigin)
  const limit = origin + policy.idleMs
  return now > limit ? { _tag: "Stop", idleForMs: now - origin } : { _tag: "Stay", nextChangeAt: limit + 1 }
}
