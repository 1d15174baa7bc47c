/**
 * What goes wrong in a simulated world, and when: a list that a seed decides and that can be printed, cut down and replayed. A
 * fault is planned here and done in `World.ts`; whether it really happened is counted there.
 */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import type { SeededRandom } from "./SeededRandom.ts"

/** What happens to an agent at its next launch or turn. */
export const AGENT_FAULTS = [
  "agent-crash",
  "agent-hang",
  "agent-deaf",
  "agent-fails",
  "agent-refuses",
  "agent-silent-tool",
  "agent-slow",
  "agent-lies",
  "agent-duplicate-id",
  "agent-future-times",
  "agent-gives-back",
  "agent-crash-at-start",
  "agent-never-claims",
  "agent-late-exit",
  "poison-message",
] as const

/** What an operator does in between. */
const OPERATOR_FAULTS = [
  "operator-pause",
  "operator-update",
  "operator-run-now",
  "operator-cancel",
  "operator-hold",
  "operator-stop",
  "operator-wake",
  "operator-redrive",
  "operator-backfill",
] as const

export const FAULT_KINDS = [
  "daemon-crash",
  "daemon-stop",
  "host-reboot",
  ...AGENT_FAULTS,
  "oom-kill",
  "killed-outside",
  "engine-down",
  "engine-slow",
  "engine-hangs",
  "image-gone",
  "start-refused",
  "start-ambiguous",
  "start-late",
  "events-lost",
  "events-repeated",
  "exit-hidden",
  "disk-full",
  "commit-uncertain",
  "mailbox-unreadable",
  "mailbox-hostile",
  "mailbox-fails",
  "projection-blocked",
  "workspace-fails",
  "clock-forward",
  "clock-backward",
  "channel-down",
  "channel-refuses",
  "channel-ambiguous",
  "channel-slow",
  ...OPERATOR_FAULTS,
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Fault {
  /** Its place in the plan: by this a replay names the faults that it keeps. */
  readonly id: number
  readonly kind: FaultKind
  /** Milliseconds after the world's beginning. */
  readonly at: number
  /** Which session it strikes, where it strikes one. */
  readonly session: number
  /** How long it lasts, or how far the clock jumps. */
  readonly ms: number
  /** The how-manieth: the crash point, the write of a transaction. */
  readonly nth: number
}

const LONGEST: Partial<Record<FaultKind, number>> = {
  "daemon-crash": 20 * MINUTE_MS,
  "daemon-stop": 20 * MINUTE_MS,
  "host-reboot": 20 * MINUTE_MS,
  "engine-down": HOUR_MS,
  "engine-slow": 20 * MINUTE_MS,
  "clock-forward": 8 * HOUR_MS,
  "clock-backward": 2 * HOUR_MS,
  "agent-slow": 50 * MINUTE_MS,
  "agent-silent-tool": 3 * HOUR_MS,
  "agent-late-exit": 3 * MINUTE_MS,
  "commit-uncertain": 5 * MINUTE_MS,
  "operator-backfill": 2 * HOUR_MS,
}

/**
 * Faults for `days` days. Each world suffers from a part of the kinds only, some of them often: what a rare fault would hide
 * behind a frequent one gets worlds of its own.
 */
export const planFaults = (
  random: SeededRandom,
  options: { readonly days: number; readonly sessions: number; readonly perDay: number },
): ReadonlyArray<Fault> => {
  const suffered = FAULT_KINDS.filter(() => random.chance(0.4))
  const kinds = suffered.length === 0 ? FAULT_KINDS : suffered
  // A few worlds have it much worse than the others: what two faults at once can break is found there.
  const worse = random.chance(0.06) ? 6 : 1
  const count = Math.max(1, Math.round(options.days * options.perDay * (0.5 + random.next()) * worse))
  return Array.from({ length: count }, (): Omit<Fault, "id"> => {
    const kind = random.pick(kinds)
    return {
      kind,
      at: random.below(options.days * 24 * HOUR_MS),
      session: random.below(options.sessions),
      ms: random.magnitude(SECOND_MS, LONGEST[kind] ?? 30 * MINUTE_MS),
      nth: random.magnitude(1, 40),
    }
  })
    .sort((one, other) => one.at - other.at)
    .map((fault, id) => ({ ...fault, id }))
}

/** One line for people: `#7 engine-down at 1d 03:12:40 for 90 s (session 2, nth 3)`. */
export const describeFault = (fault: Fault): string =>
  `#${fault.id} ${fault.kind} at ${clockText(fault.at)} for ${Math.round(fault.ms / 100) / 10} s (session ${fault.session}, nth ${fault.nth})`

/** `2d 03:04:05.006` after the beginning. */
export const clockText = (ms: number): string => {
  const days = Math.floor(ms / 86_400_000)
  const rest = new Date(ms % 86_400_000).toISOString().slice(11, 23)
  return `${days}d ${rest}`
}
