/** The history of a series: a row per run, and one row with a count for equal slots in a row that did not run. */
import type { Run, RunOutcome } from "../../domain/Run.ts"
import type { LedgerTx } from "../LedgerDriver.ts"

/** A script that says no each minute, or a task that nothing ever claims, would fill the history with one and the same row. */
const countsTogether: ReadonlySet<RunOutcome> = new Set(["skipped", "expired", "overlap", "missed", "paused"])

/** Appends a run. Of several that are counted together, `dueAt` is the first one's and all else is the last one's. */
export const recordRun = (tx: LedgerTx, run: Omit<Run, "position">): void => {
  const last =
    run.seriesId === null || !countsTogether.has(run.outcome) ? undefined : tx.lastRun(run.seriesId)
  const isEqual =
    last !== undefined &&
    last.outcome === run.outcome &&
    last.error === run.error &&
    last.result === run.result &&
    (last.messageId === null) === (run.messageId === null)
  tx.putRun(
    isEqual
      ? { ...run, position: last.position, dueAt: last.dueAt, count: last.count + run.count }
      : { ...run, position: 0 },
  )
}
