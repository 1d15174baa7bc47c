/**
 * The invariants of recurring tasks (security.md §6: 5, and 11 for what waits for another run), checked at every commit by the words
 * of docs/scheduling.md: every slot that passed has an account, and each policy did what it says. What happened is counted, so that
 * a campaign in which a policy was never put to the test is noticed.
 */
import { MAX_EPOCH_MS, MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import { isTerminal, type Message, type TerminalState } from "../domain/Message.ts"
import type { Run } from "../domain/Run.ts"
import { jitterOf, type Series } from "../domain/Series.ts"
import { nextSlotOf } from "../domain/SeriesSlots.ts"
import type { LedgerReader } from "../services/LedgerDriver.ts"
import type { GroundTruth, Violate } from "./GroundTruth.ts"

/** What can become of slots and runs; a campaign in which one of these never happened did not test it. */
export const SERIES_SIGHTS = [
  "slot-fired",
  "slot-late",
  "slot-caught-up",
  "slot-missed",
  "slot-overlapped",
  "slot-paused",
  "grid-set-back",
  "run-buffered",
  "run-released",
  "run-replaced",
  "run-beside-another",
  "run-isolated",
  "run-backfilled",
  "run-beside-the-schedule",
  "run-too-long",
  "run-jittered",
  "task-paused-itself",
  "task-out-of-runs",
  "session-removed",
] as const
export type SeriesSight = (typeof SERIES_SIGHTS)[number]

export interface SeriesWatchOptions {
  readonly truth: GroundTruth
  /** Elapsed milliseconds. */
  readonly now: () => number
  /** The wall clock. */
  readonly wall: () => number
  readonly violate: Violate
}

/** What one transaction did to one series. */
const unchanged = (before: Series | undefined) => ({
  before,
  births: [] as Array<Message>,
  missed: 0,
  overlapped: 0,
  paused: 0,
})
type Change = ReturnType<typeof unchanged>

/** Slots of one transaction that are counted one by one. */
const MAX_COUNTED = 2_000
/** A slot that is seen within this is on time. */
const ON_TIME_MS = MINUTE_MS
/** From the instant at which a run is too long to the look that notices, in fair weather. */
const OVERDUE_SLACK_MS = 3 * MINUTE_MS
/** An age below this may be missing where a clock's jump was too small to be noticed. */
const CLAIM_SLACK_MS = 12 * SECOND_MS

const isHeldBack = (message: Message): boolean =>
  message.state === "pending" && message.dueAt === MAX_EPOCH_MS

/** The schedule's own, on whichever of its grids. */
const ofSchedule = ({ slotOrigin }: Message): boolean => /^schedule(?::\d+)?$/.test(slotOrigin ?? "")

export class SeriesWatch {
  readonly series = new Map<string, Series>()
  readonly sights = new Map<SeriesSight, number>()
  private readonly open = new Map<string, Map<string, Message>>()
  private readonly slots = new Set<string>()
  private readonly failures = new Map<string, number>()
  private readonly fired = new Map<string, number>()
  private readonly slotRuns = new Map<number, number>()
  /** Occurrences under work: since which elapsed instant. */
  private readonly working = new Map<string, number>()
  /** When each was first claimed. */
  private readonly taken = new Map<string, number>()
  private readonly options: SeriesWatchOptions
  private changes = new Map<string, Change>()
  /** By how much the clock was set back, each time, by the ledger's own events. */
  private readonly setBacks = new Set<number>()

  constructor(options: SeriesWatchOptions) {
    this.options = options
  }

  see(sight: SeriesSight, times = 1): void {
    if (times > 0) this.sights.set(sight, (this.sights.get(sight) ?? 0) + times)
  }

  private changeOf(id: string): Change {
    const change = this.changes.get(id) ?? unchanged(this.series.get(id))
    this.changes.set(id, change)
    return change
  }

  private openOf(id: string): Map<string, Message> {
    const rows = this.open.get(id) ?? new Map<string, Message>()
    this.open.set(id, rows)
    return rows
  }

  /** An occurrence was written, in the order of the transaction's writes. */
  onMessage(before: Message | undefined, row: Message): void {
    const id = row.seriesId
    if (id === null) return
    const series = this.series.get(id)
    const open = this.openOf(id)
    if (before === undefined && series !== undefined) this.onBirth(series, row, open)
    if (before !== undefined && isHeldBack(before) && row.state === "pending" && !isHeldBack(row))
      this.onRelease(row, open)
    if (before?.state !== "claimed" && row.state === "claimed") {
      const container = this.options.truth.container(row.sessionId, row.admittedIn)
      const since = container?.claims.get(row.id) ?? this.options.now()
      this.working.set(row.id, since)
      if (!this.taken.has(row.id)) this.taken.set(row.id, since)
    }
    if (row.state !== "claimed") this.working.delete(row.id)
    if (!isTerminal(row.state)) {
      open.set(row.id, row)
      this.changeOf(id)
      return
    }
    open.delete(row.id)
    if (before !== undefined && !isTerminal(before.state)) this.onEnd(id, row, row.state as TerminalState)
  }

  private onBirth(series: Series, row: Message, open: ReadonlyMap<string, Message>): void {
    const { violate } = this.options
    const change = this.changeOf(series.id)
    change.births.push(row)
    if (series.policy.context === "isolated") {
      this.see("run-isolated")
      if (row.sessionId === series.sessionId) violate(5, `${row.id} is not isolated from the task's session`)
    } else if (row.sessionId !== series.sessionId) {
      violate(5, `${row.id} went to session ${row.sessionId}, not to its task's`)
    }
    if (row.slot === null) return this.see("run-beside-the-schedule")
    const key = `${series.id}@${row.slot} (${row.slotOrigin})`
    if (this.slots.has(key)) violate(5, `the slot ${key} became a second occurrence, ${row.id}`)
    this.slots.add(key)
    if (!ofSchedule(row)) return this.see("run-backfilled")
    this.see("slot-fired")
    const fired = (this.fired.get(series.id) ?? 0) + 1
    this.fired.set(series.id, fired)
    const { maxRuns } = series.bounds
    if (maxRuns !== null && fired > maxRuns)
      violate(5, `${series.id} ran ${fired} times, of ${maxRuns} allowed`)
    if (maxRuns === fired) this.see("task-out-of-runs")
    if (series.status !== "active") violate(5, `${row.id} was made while its task is ${series.status}`)
    this.onOverlap(series, row, open)
    this.onCatchUp(series, row)
  }

  /** What overlap allows beside the occurrences that are open. */
  private onOverlap(series: Series, row: Message, open: ReadonlyMap<string, Message>): void {
    const { violate } = this.options
    const { overlap, policy } = series
    if (isHeldBack(row)) {
      this.see("run-buffered")
      const waiting = [...open.values()].filter(isHeldBack).length + 1
      const limit = overlap === "buffer-one" ? 1 : overlap === "buffer-all" ? policy.bufferLimit : 0
      if (waiting > limit)
        violate(5, `${waiting} occurrences of ${series.id} (${overlap}) wait, of ${limit} allowed`)
    } else if (open.size > 0) {
      if (overlap !== "allow-all")
        violate(5, `${row.id} was made beside ${[...open.keys()].join(", ")} (${overlap})`)
      this.see("run-beside-another")
    }
  }

  private onCatchUp(series: Series, row: Message): void {
    const { violate } = this.options
    const slot = row.slot ?? 0
    const now = row.acceptedAt
    const lateMs = now - slot
    const { catchUpCap, catchUpWindowMs, staggerMs } = series.policy
    const jitterMs = jitterOf(series.id, series.bounds.jitterMs)
    if (lateMs > ON_TIME_MS) this.see("slot-late")
    if (slot > now) violate(5, `${row.id} was made ${slot - now} ms before its slot`)
    if (series.catchUp === "skip" && lateMs > ON_TIME_MS)
      violate(5, `${row.id} was caught up ${lateMs} ms late, and the task says skip`)
    if (catchUpWindowMs !== null && lateMs > Math.max(catchUpWindowMs, ON_TIME_MS))
      violate(5, `${row.id} was caught up ${lateMs} ms late, outside of its window of ${catchUpWindowMs} ms`)
    if (isHeldBack(row)) return
    if (row.firstDueAt < slot + jitterMs)
      violate(5, `${row.id} is due ${slot + jitterMs - row.firstDueAt} ms before its slot and jitter`)
    if (row.firstDueAt > Math.max(slot + jitterMs, now + catchUpCap * staggerMs))
      violate(5, `${row.id} is due ${row.firstDueAt - slot} ms after its slot`)
    if (jitterMs > 0) this.see("run-jittered")
  }

  private onRelease(row: Message, open: ReadonlyMap<string, Message>): void {
    this.see("run-released")
    const running = [...open.values()].filter((other) => other.id !== row.id && !isHeldBack(other))
    if (running.length > 0)
      this.options.violate(5, `${row.id} was let go while ${running.map(({ id }) => id).join(", ")} ran`)
  }

  private onEnd(id: string, row: Message, state: TerminalState): void {
    this.changeOf(id)
    if (state === "failed") this.failures.set(id, (this.failures.get(id) ?? 0) + 1)
    if (state === "completed" || state === "skipped") this.failures.set(id, 0)
    if (state !== "cancelled") return
    if (row.error?.includes("cancel-other") === true) this.see("run-replaced")
    if (row.error?.includes("startToCloseMs") !== true) return
    this.see("run-too-long")
    const ranMs = this.options.now() - (this.taken.get(row.id) ?? 0)
    const limitMs = this.series.get(id)?.policy.startToCloseMs ?? Infinity
    if (ranMs + CLAIM_SLACK_MS < limitMs)
      this.options.violate(6, `${row.id} was stopped for running too long, after ${ranMs} ms of ${limitMs}`)
  }

  /** A run record: for slots that did not run, how many more it tells of now. */
  onRun(position: number, row: Run): void {
    if (row.seriesId === null || row.messageId !== null) return
    const more = row.count - (this.slotRuns.get(position) ?? 0)
    this.slotRuns.set(position, row.count)
    const change = this.changeOf(row.seriesId)
    const kind = row.outcome === "overlap" ? "overlapped" : row.outcome
    if (kind !== "missed" && kind !== "overlapped" && kind !== "paused")
      return this.options.violate(5, `a slot of ${row.seriesId} is recorded as ${kind} without an occurrence`)
    change[kind] += more
    this.see(`slot-${kind}`, more)
    if (kind === "overlapped" && this.openOf(row.seriesId).size === 0)
      this.options.violate(5, `a slot of ${row.seriesId} was skipped, and no occurrence was open`)
  }

  onSeries(row: Series): void {
    const { violate } = this.options
    const before = this.series.get(row.id)
    this.changeOf(row.id)
    this.series.set(row.id, row)
    if (before === undefined) return
    if (before.status === "cancelled" && row.status !== "cancelled")
      violate(5, `the cancelled task ${row.id} became ${row.status}`)
    // Nobody who may do so ever cancels a task in these worlds; agents that lie try it with those of others.
    if (before.status !== "cancelled" && row.status === "cancelled")
      violate(10, `task ${row.id} was cancelled by somebody who may not`)
    const isResumed = before.status === "paused" && (row.status === "active" || row.status === "completed")
    if (isResumed) this.failures.set(row.id, 0)
    if (row.grid !== before.grid) this.onSetBack(before, row)
    else if (row.lastSlot !== null && before.lastSlot !== null && row.lastSlot < before.lastSlot)
      violate(5, `the last slot of ${row.id} went back`)
    const { lastSlot, nextSlot, status } = row
    if (nextSlot !== null && lastSlot !== null && nextSlot <= lastSlot && status === "active")
      violate(5, `the next slot of ${row.id} is not after the last one that was dealt with`)
  }

  /** The clock jumped, by the words of the event. */
  onClock(text: string): void {
    const back = /set back by (\d+) ms/.exec(text)
    if (back !== null) this.setBacks.add(Number(back[1]))
  }

  /** A grid is set back only with the clock, as far as the clock was, and keeps its distances. */
  private onSetBack(before: Series, row: Series): void {
    this.see("grid-set-back")
    const one = before.schedule
    const other = row.schedule
    if (one._tag !== "Interval" || other._tag !== "Interval")
      return this.options.violate(5, `the grid of ${row.id} was set back, and it is no interval`)
    const backMs = one.anchor - other.anchor
    if (!this.setBacks.has(backMs) || row.grid !== before.grid + 1 || one.everyMs !== other.everyMs)
      this.options.violate(5, `the grid of ${row.id} was set back by ${backMs} ms, and the clock was not`)
    if (before.lastSlot !== null && before.lastSlot - (row.lastSlot ?? 0) !== backMs)
      this.options.violate(5, `the last slot of ${row.id} went back by more or less than its grid`)
  }

  /** Checks what the whole transaction did to each series. */
  commit(): void {
    const { changes } = this
    this.changes = new Map()
    for (const [id, change] of changes) {
      const after = this.series.get(id)
      if (after === undefined) continue
      this.account(after, change)
      this.atRest(after, change.before)
    }
  }

  /** Every slot from the next one before to the last one after is an occurrence, or a record that says why not. */
  private account(after: Series, change: Change): void {
    const { violate } = this.options
    const { before, births, missed, overlapped, paused } = change
    const made = births.filter(ofSchedule)
    if (before === undefined) return
    const advanced = after.lastSlot !== null && after.lastSlot !== before.lastSlot
    const accounts = made.length + missed + overlapped + paused
    if (!advanced) {
      if (accounts > 0)
        violate(5, `${accounts} slots of ${after.id} were dealt with, and its last slot stands still`)
    } else {
      const passed = countSlots(before, before.nextSlot, (after.lastSlot ?? 0) + 1)
      const isOut = after.bounds.maxRuns !== null && after.fired >= after.bounds.maxRuns
      if (passed < MAX_COUNTED && accounts !== passed && !(isOut && accounts < passed))
        violate(
          5,
          `${passed} slots of ${after.id} passed: ${made.length} became occurrences, ${missed} were missed, ${overlapped} skipped, ${paused} paused`,
        )
      if (made.length > 1) {
        this.see("slot-caught-up", made.length)
        if (after.catchUp !== "all")
          violate(5, `${made.length} slots of ${after.id} were run at once (${after.catchUp})`)
      }
      if (made.length > after.policy.catchUpCap)
        violate(5, `${made.length} slots of ${after.id} were caught up, over its cap`)
    }
    if (paused > 0 && before.status !== "paused")
      violate(5, `${paused} slots of ${after.id} were recorded as paused while it was ${before.status}`)
  }

  private atRest(series: Series, before: Series | undefined): void {
    const { violate } = this.options
    const open = [...this.openOf(series.id).values()]
    const waiting = open.filter(isHeldBack)
    if (waiting.length > 0 && waiting.length === open.length)
      violate(11, `${waiting.length} occurrences of ${series.id} wait for one that has ended`)
    const failures = this.failures.get(series.id) ?? 0
    if (series.failuresInRow !== failures)
      violate(5, `${series.id} counts ${series.failuresInRow} failures in a row, there were ${failures}`)
    const limit = series.policy.pauseAfterFailures
    if (limit === null) return
    if (series.status === "active" && failures >= limit)
      violate(5, `${series.id} is active after ${failures} failures in a row; it allows ${limit}`)
    if (before?.status !== "active" || series.status !== "paused") return
    if (series.note?.includes("itself") !== true) return
    this.see("task-paused-itself")
    if (failures < limit)
      violate(5, `${series.id} paused itself after ${failures} failures in a row, of ${limit}`)
  }

  /** Every now and then, when nothing is wrong: does anything run for longer than its task allows? */
  tick(troubledAt: number, slackMs: number): void {
    const { now, truth, violate } = this.options
    for (const [seriesId, rows] of this.open) {
      const limitMs = this.series.get(seriesId)?.policy.startToCloseMs ?? null
      if (limitMs === null) continue
      for (const [id, { admittedIn, sessionId }] of rows) {
        const since = this.working.get(id)
        // Whoever is dead does not run: its last words may be unreadable for as long as they are.
        if (since === undefined || truth.container(sessionId, admittedIn)?.diedAt !== null) continue
        const overMs = now() - Math.max(Math.max(since, truth.last("jump")) + limitMs, troubledAt)
        if (overMs > slackMs + OVERDUE_SLACK_MS)
          violate(5, `${id} still runs ${Math.round(overMs / SECOND_MS)} s after its time was over`)
      }
    }
  }

  /** What an occurrence that has gone from the history leaves here. */
  forget(id: string): void {
    this.working.delete(id)
    this.taken.delete(id)
  }
}

/** Slots from `first` on, whether it lies on the grid or not, and before `end`. */
const countSlots = (series: Series, first: number | null, end: number): number => {
  let count = 0
  for (let slot = first; slot !== null && slot < end && count < MAX_COUNTED; count++)
    slot = nextSlotOf(series, slot)
  return count
}

/** For checks at rest: sessions of isolated runs that ended before this instant, and ought to have gone. */
export const overstayed = (reader: LedgerReader, before: number): ReadonlyArray<string> =>
  reader
    .sessions({}, { limit: 2_000 })
    .filter(({ id, live, origin, queued }) => {
      const [last] = reader.messages({ sessionId: id }, { limit: 1 })
      return origin === "task" && !live && queued === 0 && (last?.endedAt ?? Infinity) < before
    })
    .map(({ id }) => id)
