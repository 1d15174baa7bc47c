/** What a series' runs tell: how often it succeeds, how long it takes, how late it starts. */
import { Schema } from "effect"
import { Millis } from "./Instant.ts"
import type { Run } from "./Run.ts"

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
