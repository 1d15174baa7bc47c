/**
 * What to do about a series' slots: when some came due, when a pause ends, when the schedule changes. First catch-up says which of
 * the slots that passed shall run, then overlap says of each how. The interpreter writes occurrences and run rows, and sets the
 * series' `nextSlot`, `lastSlot` and `fired`, in one transaction.
 */
import { type EpochMs, MINUTE_MS } from "./Instant.ts"
import { PRIORITIES, type Priority } from "./Message.ts"
import { jitterOf, type Series } from "./Series.ts"
import { countSlotsOf, nextSlotOf, previousSlotOf, type Slotted } from "./SeriesSlots.ts"

/** Occurrences of one series that have not ended, whatever its policy: with this many no slot becomes another. */
export const OPEN_LIMIT = 1_000

/** A slot that is seen within this is not missed: the daemon looks at least once a minute. */
export const ON_TIME_MS = MINUTE_MS

/** What the decisions look at of a series: where it stands, its grid, and its policies. A program may keep these rows in any way. */
export type SlotSeries = Slotted &
  Pick<
    Series,
    "id" | "status" | "policy" | "overlap" | "catchUp" | "nextSlot" | "lastSlot" | "fired" | "createdAt"
  >

/** Slots in a row that did not run: one run row. */
export interface SlotRange {
  readonly first: EpochMs
  readonly last: EpochMs
  readonly count: number
}

/** What becomes of one slot. */
export type SlotFate =
  /** Insert its occurrence, due at `dueAt`. */
  | { readonly _tag: "Fire"; readonly slot: EpochMs; readonly dueAt: EpochMs }
  /** Insert it, and hold it back until the occurrence before it ends. */
  | { readonly _tag: "Buffer"; readonly slot: EpochMs }
  /** Cancel what is open, then insert it. */
  | { readonly _tag: "Replace"; readonly slot: EpochMs; readonly dueAt: EpochMs }
  /** Record it as skipped: an occurrence is open. */
  | { readonly _tag: "Skip"; readonly slot: EpochMs }

export type SlotDecision =
  /** Not active, or its next slot is still to come: change nothing. */
  | { readonly _tag: "NotDue" }
  | {
      readonly _tag: "Due"
      /** Passed, and not to be run: older than the window, or left out by the catch-up policy. */
      readonly missed: SlotRange | null
      readonly fates: ReadonlyArray<SlotFate>
      /** The last slot that was dealt with. */
      readonly lastSlot: EpochMs
      /** Null: the series is completed. */
      readonly nextSlot: EpochMs | null
    }

/** Occurrences of the series that have not ended. */
export interface OpenOccurrences {
  readonly running: number
  readonly buffered: number
}

/**
 * Decides about every slot of the series that is due at `now`. The next slot is always later than `now` and than every slot dealt
 * with, so a clock that is set back repeats none.
 */
export const decideSlots = (series: SlotSeries, now: EpochMs, open: OpenOccurrences): SlotDecision => {
  const due = series.nextSlot
  if (series.status !== "active" || due === null || due > now) return { _tag: "NotDue" }
  const lastSlot = Math.max(previousSlotOf(series, now + 1) ?? due, due)
  const chosen = chosenSlots(series, due, lastSlot, now)
  // Of the slots up to the last, those before the first that runs are missed; when none runs, all of them are.
  const missed = rangeOf(series, due, chosen[0] ?? lastSlot + 1)
  const room = series.bounds.maxRuns === null ? Infinity : Math.max(0, series.bounds.maxRuns - series.fired)
  const fates = overlapped(series, chosen, now, open, room)
  const started = fates.filter(({ _tag }) => _tag !== "Skip").length
  return {
    _tag: "Due",
    missed,
    fates,
    lastSlot,
    nextSlot: started >= room ? null : nextSlotOf(series, Math.max(now, lastSlot)),
  }
}

/** The slots from `due` to `now` that the catch-up policy runs, oldest first. */
const chosenSlots = (
  series: SlotSeries,
  due: EpochMs,
  latest: EpochMs,
  now: EpochMs,
): ReadonlyArray<EpochMs> => {
  const { catchUpCap, catchUpWindowMs } = series.policy
  const oldest = catchUpWindowMs === null ? due : Math.max(due, now - Math.max(catchUpWindowMs, ON_TIME_MS))
  if (latest < oldest) return []
  if (series.catchUp === "latest") return [latest]
  if (series.catchUp === "skip") return now - latest <= ON_TIME_MS ? [latest] : []
  const slots = [latest]
  while (slots.length < catchUpCap) {
    const before = previousSlotOf(series, slots[0] ?? latest)
    if (before === null || before < oldest) break
    slots.unshift(before)
  }
  // A due slot may lie off the grid: a first run that was asked for.
  if (slots.length < catchUpCap && slots[0] !== due && due >= oldest) slots.unshift(due)
  return slots
}

/** The fates of those slots, up to the one that takes the last of the runs that the series has left. */
const overlapped = (
  series: SlotSeries,
  slots: ReadonlyArray<EpochMs>,
  now: EpochMs,
  open: OpenOccurrences,
  runsLeft: number,
): ReadonlyArray<SlotFate> => {
  const jitterMs = jitterOf(series.id, series.bounds.jitterMs)
  const room =
    series.overlap === "buffer-all" ? series.policy.bufferLimit : series.overlap === "buffer-one" ? 1 : 0
  let { buffered, running } = open
  const fateOf = (slot: EpochMs, index: number): SlotFate => {
    const delayMs = index * series.policy.staggerMs
    const dueAt = Math.max(slot + jitterMs, delayMs === 0 ? 0 : now + delayMs)
    const isFree = running + buffered === 0
    if (isFree || (series.overlap === "allow-all" && running + buffered < OPEN_LIMIT)) {
      running += 1
      return { _tag: "Fire", slot, dueAt }
    }
    if (series.overlap === "cancel-other") return { _tag: "Replace", slot, dueAt }
    if (buffered >= room) return { _tag: "Skip", slot }
    buffered += 1
    return { _tag: "Buffer", slot }
  }
  const fates: Array<SlotFate> = []
  let started = 0
  for (const [index, slot] of slots.entries()) {
    // The series is completed: what would come after its last run is no slot of it.
    if (started >= runsLeft) break
    const fate = fateOf(slot, index)
    fates.push(fate)
    if (fate._tag !== "Skip") started += 1
  }
  return fates
}

/** One lower; the lowest stays. What is done late or in bulk has it, and so holds nobody up who waits for an answer. */
export const behind = (priority: Priority): Priority =>
  priority === PRIORITIES.high ? PRIORITIES.normal : PRIORITIES.low

/** The priority of a slot's occurrence: the series' own when the slot is on time, one lower when it is caught up. */
export const priorityOfSlot = (
  series: Pick<Series, "id" | "bounds" | "priority" | "createdAt">,
  slot: EpochMs,
  now: EpochMs,
): Priority => {
  // An instant that had passed when it was asked for is as late as its asking.
  const dueAt = Math.max(slot, series.createdAt) + jitterOf(series.id, series.bounds.jitterMs)
  return now - dueAt > ON_TIME_MS ? behind(series.priority) : series.priority
}

export interface ResumeDecision {
  /** Null: no slot is left, the series is completed. */
  readonly nextSlot: EpochMs | null
  /** The slots that passed during the pause; they are recorded, not caught up. */
  readonly paused: SlotRange | null
}

/** Decides how a series goes on when its pause ends: with the first slot after `now`, and never with one already dealt with. */
export const decideResume = (series: SlotSeries, now: EpochMs): ResumeDecision => {
  const first = series.nextSlot ?? nextSlotOf(series, series.lastSlot ?? series.createdAt)
  return {
    // A slot that is still to come stays, also when the clock was set back to before the one that it follows.
    nextSlot: first !== null && first > now ? first : decideReschedule(series, series, now),
    paused: first === null ? null : rangeOf(series, first, now + 1),
  }
}

/**
 * The next slot when a series gets another schedule: the first one of the new grid strictly after `now`. If the clock was set
 * back, it also lies after the last slot that was dealt with, so that none can come twice. Null: the new schedule has none.
 */
export const decideReschedule = (
  series: Pick<Series, "lastSlot" | "bounds" | "fired">,
  slotted: Slotted,
  now: EpochMs,
): EpochMs | null => {
  const { maxRuns } = slotted.bounds
  if (maxRuns !== null && series.fired >= maxRuns) return null
  return nextSlotOf(slotted, Math.max(now, series.lastSlot ?? now))
}

/** The slots from `first` on, and before `end`; null when `first` itself is not. `first` need not lie on the grid. */
const rangeOf = (series: Slotted, first: EpochMs, end: EpochMs): SlotRange | null => {
  if (first >= end) return null
  const last = Math.max(previousSlotOf(series, end) ?? first, first)
  return { first, last, count: 1 + countSlotsOf(series, first, last) }
}

/* Why nobody looked at slots for a while, as the daemon saw it: it is what the history says of those that were missed. */

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
