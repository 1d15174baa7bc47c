/** Why nobody looked at slots for a while, as the daemon saw it: it is what the history says of those that were missed. */
import type { EpochMs } from "./Instant.ts"
import type { SlotRange } from "./SlotDecision.ts"

export interface Outage {
  /** The look before, and the first one after. */
  readonly from: EpochMs
  readonly to: EpochMs
  /** `jumped`: the wall clock went on without the monotonic one, as it does when a host sleeps and when a clock is set. */
  readonly cause: "down" | "jumped" | "stalled"
}

const WORDS: Readonly<Record<Outage["cause"], string>> = {
  down: "the daemon was not running",
  jumped: "the host slept, or its clock was set forward",
  stalled: "the daemon did not get to look in time",
}

/** What is known of an outage is said of the slots in it; without one the daemon was not there to see anything. */
export const whyMissed = ({ first, last }: SlotRange, outage: Outage | null): string =>
  WORDS[outage !== null && last >= outage.from && first <= outage.to ? outage.cause : "down"]
