/** `runs`: what ran, what did not, and why. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { SeriesId, SessionId } from "../domain/Ids.ts"
import { RunOutcome } from "../domain/Run.ts"
import { connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { choice, formed, given } from "./Flags.ts"
import { positionFlags } from "./PageFlags.ts"
import { jsonFlag as json } from "./Root.ts"

/** Of an error or a result in a table; `--json` has all that is kept. */
const SHOWN_CHARS = 80

export const runsCommand = Command.make(
  "runs",
  {
    task: formed("task", SeriesId, "Only this task's"),
    session: formed("session", SessionId, "Only this session's"),
    outcome: choice("outcome", RunOutcome.literals, "Only those that ended so"),
    ...positionFlags("the position of the last row of the page before"),
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const rows = yield* (yield* connectReading).runs(
        given({
          taskId: input.task,
          sessionId: input.session,
          outcome: input.outcome,
          limit: input.limit,
          after: input.after,
        }),
      )
      yield* show(input.json, rows, () =>
        table(
          ["ended", "task", "slot", "outcome", "took", "attempts", "count", "why or result"],
          rows.map((row) => [
            instant(row.endedAt),
            row.seriesId ?? "-",
            instant(row.slot),
            row.outcome,
            row.durationMs === null ? "-" : `${row.durationMs} ms`,
            String(row.attempts),
            String(row.count),
            (row.error ?? row.result ?? "").slice(0, SHOWN_CHARS),
          ]),
        ),
      )
    }),
)
