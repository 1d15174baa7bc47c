/**
 * Whether a container has had nothing to do for long enough to be stopped. Stopping is graceful and costs no try, so this only
 * saves memory: whatever looks like work keeps it.
 */
import type { EpochMs, Millis } from "./Instant.ts"
import type { Policy } from "./Policy.ts"

export interface IdleInput {
  /** The last claim, ack, heartbeat, outbound row or delivery; the spawn before the first. */
  readonly activeAt: EpochMs
  /** Ages never start before this: 0, or after a clock jump the instant at which it was noticed. */
  readonly ageOrigin: EpochMs
  readonly openClaims: number
  readonly tool: "in-flight" | "none"
  readonly due: "due" | "nothing"
  /** Outbound rows that are written and not ingested. */
  readonly unread: "unread" | "none"
}

/** `nextChangeAt`: the first instant at which the same input means a stop; null while only an event can change the answer. */
export type IdleDecision =
  | { readonly _tag: "Stay"; readonly nextChangeAt: EpochMs | null }
  | { readonly _tag: "Stop"; readonly idleForMs: Millis }

export const decideIdle = (input: IdleInput, now: EpochMs, policy: Pick<Policy, "idleMs">): IdleDecision => {
  const busy =
    input.openClaims > 0 || input.tool === "in-flight" || input.due === "due" || input.unread === "unread"
  if (busy) return { _tag: "Stay", nextChangeAt: null }
  const origin = Math.max(input.activeAt, input.ageOrigin)
  const limit = origin + policy.idleMs
  return now > limit ? { _tag: "Stop", idleForMs: now - origin } : { _tag: "Stay", nextChangeAt: limit + 1 }
}
