/**
 * One breaker for the container runtime as a whole: when it is down, no session tries to start anything, and one probe at a time
 * finds out whether it is back. Only "the runtime is down" trips it; a session's own faults back off that session.
 */
import { doubled, type EpochMs, type Millis, SECOND_MS } from "./Instant.ts"

export type Breaker =
  | { readonly _tag: "Closed" }
  | {
      readonly _tag: "Open"
      readonly since: EpochMs
      /** Down reports that counted: the one that opened it, and each failed probe. */
      readonly failures: number
      /** From when a probe may start; while one is in flight, when it is given up for lost. */
      readonly probeAt: EpochMs
      readonly probe: "waiting" | "in-flight"
    }

export const closedBreaker: Breaker = { _tag: "Closed" }

const PROBE_CAP_MS: Millis = 30 * SECOND_MS

/** Between the failure that counts `failures` and the next probe: 1 s, doubling to 30 s. */
export const probeIntervalMs = (failures: number): Millis =>
  Math.min(doubled(SECOND_MS, failures - 1), PROBE_CAP_MS)

/**
 * The runtime did not answer. While the breaker is open, only the answer to a probe counts: starts that were under way when it
 * opened all fail at once, and N of them are not N failed probes.
 */
export const onRuntimeDown = (state: Breaker, now: EpochMs): Breaker => {
  if (state._tag === "Closed") {
    return { _tag: "Open", since: now, failures: 1, probeAt: now + probeIntervalMs(1), probe: "waiting" }
  }
  if (state.probe === "waiting" && !mayProbe(state, now)) return state
  const failures = state.failures + 1
  return { ...state, failures, probeAt: now + probeIntervalMs(failures), probe: "waiting" }
}

/** The runtime answered, whatever it said. */
export const onRuntimeUp = (): Breaker => closedBreaker

/** It was heard of, which is no proof that it starts anything: the next probe need not wait any longer. */
export const onSignOfLife = (state: Breaker, now: EpochMs): Breaker =>
  state._tag === "Closed" || state.probe === "in-flight" || state.probeAt <= now
    ? state
    : { ...state, probeAt: now }

/** The one probe was started: no other starts until it is answered, or lost for 30 s. */
export const onProbeStarted = (state: Breaker, now: EpochMs): Breaker =>
  state._tag === "Closed" ? state : { ...state, probeAt: now + PROBE_CAP_MS, probe: "in-flight" }

/** What may start now: anything, nothing, or one probe. */
export const breakerGate = (state: Breaker, now: EpochMs): "closed" | "open" | "probe" => {
  if (state._tag === "Closed") return "closed"
  return mayProbe(state, now) ? "probe" : "open"
}

/** A probe further away than any interval means that the clock was set back: waiting for it could take for ever. */
const mayProbe = (state: Extract<Breaker, { _tag: "Open" }>, now: EpochMs): boolean =>
  now >= state.probeAt || state.probeAt - now > PROBE_CAP_MS
