/** `runs`: what ran, what did not, and why. */
import { SeriesId, SessionId } from "../domain/Ids.ts"
import { RunOutcome } from "../domain/Run.ts"
import { positionFlags, reading } from "./Asking.ts"
import { choice, formed } from "./Flags.ts"
import { instant, table } from "./Output.ts"

/** Of an error or a result in a table; `--json` has all that is kept. */
const SHOWN_CHARS = 80

export const runsCommand = reading(
  (api) => api.runs,
  "runs",
  null,
  {
    taskId: formed("task", SeriesId, "Only this task's"),
    sessionId: formed("session", SessionId, "Only this session's"),
    outcome: choice("outcome", RunOutcome.literals, "Only those that ended so"),
    ...positionFlags,
  },
  (rows) =>
    table(rows, {
      ended: (row) => instant(row.endedAt),
      task: (row) => row.seriesId ?? "-",
      slot: (row) => instant(row.slot),
      outcome: (row) => row.outcome,
      took: (row) => (row.durationMs === null ? "-" : `${row.durationMs} ms`),
      attempts: (row) => String(row.attempts),
      count: (row) => String(row.count),
      "why or result": (row) => (row.error ?? row.result ?? "").slice(0, SHOWN_CHARS),
    }),
)
