/** `runs` and `next`: what ran and what did not and why, and when a schedule fires. */
import { Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { SeriesId, SessionId } from "../domain/Ids.ts"
import { describeSchedule, nextSlot, parseSchedule } from "../domain/Recurrence.ts"
import { RunOutcome } from "../domain/Run.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { parseZone } from "../domain/Zone.ts"
import { connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { positionFlags } from "./PageFlags.ts"
import { CommandError, jsonFlag as json, orCommandError } from "./Root.ts"
import { localInstant } from "./TaskLines.ts"

/** Of an error or a result in a table; `--json` has all that is kept. */
const SHOWN_CHARS = 80

export const runsCommand = Command.make(
  "runs",
  {
    task: Flag.String("task").pipe(Flag.withSchema(SeriesId), Flag.optional),
    session: Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional),
    outcome: Flag.Literals("outcome", RunOutcome.literals).pipe(Flag.optional),
    ...positionFlags("the position of the last row of the page before"),
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const rows = yield* (yield* connectReading).runs({
        taskId: Option.getOrUndefined(input.task),
        sessionId: Option.getOrUndefined(input.session),
        outcome: Option.getOrUndefined(input.outcome),
        limit: Option.getOrUndefined(input.limit),
        after: Option.getOrUndefined(input.after),
      })
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
).pipe(Command.withDescription("List what ran, and what did not and why"))

export const nextCommand = Command.make(
  "next",
  {
    schedule: Argument.String("schedule"),
    tz: Flag.String("tz").pipe(Flag.withDefault("UTC")),
    from: Flag.String("from").pipe(Flag.optional),
    count: Flag.Int("count").pipe(Flag.withDefault(3)),
    json,
  },
  Effect.fn(function* (input) {
    const zone = yield* orCommandError(
      Result.mapError(parseZone(input.tz), (problem) => ({ message: describeProblem(input.tz, problem) })),
    )
    if (input.count < 1 || input.count > 1_000) {
      return yield* new CommandError({ message: `--count ${input.count} is not between 1 and 1000` })
    }
    const from = Option.isSome(input.from)
      ? Result.getOrUndefined(parseExchangeTime(input.from.value))?.at
      : Date.now()
    if (from === undefined) {
      return yield* new CommandError({
        message: `--from '${Option.getOrElse(input.from, () => "")}' is not an instant; write it as 2026-12-01T09:00:00Z`,
      })
    }
    const schedule = yield* orCommandError(parseSchedule(input.schedule, { zone, now: from }))
    const slots: Array<number> = []
    let at: number | null = from
    while (slots.length < input.count) {
      at = nextSlot(schedule, at)
      if (at === null) break
      slots.push(at)
    }
    yield* show(input.json, { next: slots.map(instant) }, () => [
      `${describeSchedule(schedule)}:`,
      ...slots.map((slot) => localInstant(slot, zone)),
    ])
  }),
).pipe(Command.withDescription("Print the next instants of a schedule, without a daemon"))
