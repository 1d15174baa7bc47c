/** A run: the append-only audit record of an occurrence or message that ended, or of a slot that did not run, with the reason. */
import { Schema } from "effect"
import { GroupId, IncarnationNumber, MessageId, SeriesId, SessionId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"
import { TERMINAL_STATES } from "./Message.ts"

/** A message's terminal states, and those of slots that became no occurrence. */
export const RunOutcome = Schema.Literals([...TERMINAL_STATES, "overlap", "missed", "paused"])
export type RunOutcome = typeof RunOutcome.Type

export const Run = Schema.Struct({
  /** Order of appending. */
  position: Schema.Int,
  sessionId: SessionId,
  groupId: GroupId,
  seriesId: Schema.NullOr(SeriesId),
  messageId: Schema.NullOr(MessageId),
  slot: Schema.NullOr(EpochMs),
  dueAt: EpochMs,
  wokenAt: Schema.NullOr(EpochMs),
  claimedAt: Schema.NullOr(EpochMs),
  endedAt: EpochMs,
  /** From the first claim to the end. */
  durationMs: Schema.NullOr(Millis),
  attempts: Schema.Int,
  outcome: RunOutcome,
  error: Schema.NullOr(Schema.String),
  result: Schema.NullOr(Schema.String),
  incarnation: IncarnationNumber,
  logFile: Schema.NullOr(Schema.String),
  /**
   * Equal ones in a row that did not run (gated, expired, overlap, missed, paused) are one row with a count: `dueAt` is the first
   * one's, all else the last one's.
   */
  count: Schema.Int,
})
export type Run = typeof Run.Type

/* What a series' runs tell: how often it succeeds, how long it takes, how late it starts. */

const Percentiles = Schema.NullOr(Schema.Struct({ p50: Millis, p99: Millis }))

export const RunStatistics = Schema.Struct({
  /** Occurrences that ended. */
  runs: Schema.Int,
  completed: Schema.Int,
  failed: Schema.Int,
  /** Slots and occurrences that did not run, for whatever reason. */
  notRun: Schema.Int,
  /** Of those that completed or failed; null when there is none. */
  successRate: Schema.NullOr(Schema.Finite),
  /** From the first claim to the end. */
  durationMs: Percentiles,
  /** From due to the first claim. */
  latenessMs: Percentiles,
})
export type RunStatistics = typeof RunStatistics.Type

const percentiles = (figures: ReadonlyArray<number>): RunStatistics["durationMs"] => {
  if (figures.length === 0) return null
  const sorted = figures.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}

export const statisticsOf = (runs: ReadonlyArray<Run>): RunStatistics => {
  const ended = runs.filter(({ messageId }) => messageId !== null)
  const counted = (outcome: Run["outcome"]) => ended.filter((run) => run.outcome === outcome).length
  const completed = counted("completed")
  const failed = counted("failed")
  return {
    runs: ended.reduce((sum, { count }) => sum + count, 0),
    completed,
    failed,
    notRun: runs
      .filter(({ outcome }) => outcome !== "completed" && outcome !== "failed")
      .reduce((sum, run) => sum + run.count, 0),
    successRate: completed + failed === 0 ? null : completed / (completed + failed),
    durationMs: percentiles(ended.flatMap(({ durationMs }) => (durationMs === null ? [] : [durationMs]))),
    latenessMs: percentiles(
      ended.flatMap(({ claimedAt, dueAt }) => (claimedAt === null ? [] : [Math.max(0, claimedAt - dueAt)])),
    ),
  }
}
