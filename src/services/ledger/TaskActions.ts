/**
 * What an agent may ask of its tasks: a schema of the actions, what each does, and what the agent is told. They act on the tasks of
 * the session that wrote them; an isolated run acts on those of its task's own session.
 */
import { Result, Schema } from "effect"
import { nowhere } from "../../domain/Address.ts"
import { formatZoned } from "../../domain/ExchangeTime.ts"
import { MessageId, SeriesId } from "../../domain/Ids.ts"
import { Priority } from "../../domain/Message.ts"
import { describeSchedule } from "../../domain/Recurrence.ts"
import type { Run } from "../../domain/Run.ts"
import { type Series, seriesSettings } from "../../domain/Series.ts"
import { previewOf } from "../../domain/SeriesSlots.ts"
import { Full, type Refusal } from "./Refusals.ts"
import { readInstant } from "./SeriesPlan.ts"
import { ownSeries } from "./SeriesRows.ts"
import { backfillSeries, runNow } from "./SeriesRuns.ts"
import { cancelSeries, createSeries, pauseSeries, resumeSeries, updateSeries } from "./SeriesTransitions.ts"
import type { SessionUnit } from "./SessionUnit.ts"

const Text = Schema.String.check(Schema.isMaxLength(100_000))
const NullableText = Schema.NullOr(Text)

const options = {
  script: Schema.optionalKey(NullableText),
  processAfter: Schema.optionalKey(NullableText),
  recurrence: Schema.optionalKey(NullableText),
  zone: Schema.optionalKey(Text),
  ttlMs: Schema.optionalKey(Schema.NullOr(Schema.Int)),
  priority: Schema.optionalKey(Priority),
  ...seriesSettings,
}

/** The actions of docs/exchange.md. Unknown extra fields are ignored. */
export const TaskAction = Schema.Union([
  Schema.Struct({
    action: Schema.Literal("schedule_task"),
    taskId: SeriesId,
    name: Schema.optionalKey(NullableText),
    prompt: Text.check(Schema.isMinLength(1)),
    ...options,
    platformId: Schema.optionalKey(NullableText),
    channelType: Schema.optionalKey(NullableText),
    threadId: Schema.optionalKey(NullableText),
  }),
  Schema.Struct({
    action: Schema.Literal("update_task"),
    taskId: SeriesId,
    prompt: Schema.optionalKey(Text),
    ...options,
    revision: Schema.optionalKey(Schema.Int),
  }),
  Schema.Struct({
    action: Schema.Literal("pause_task"),
    taskId: SeriesId,
    note: Schema.optionalKey(NullableText),
  }),
  Schema.Struct({
    action: Schema.Literal("resume_task"),
    taskId: SeriesId,
    pausedSlots: Schema.optionalKey(Schema.Literals(["record", "catch-up"])),
  }),
  Schema.Struct({ action: Schema.Literals(["cancel_task", "run_task"]), taskId: SeriesId }),
  Schema.Struct({
    action: Schema.Literal("backfill_task"),
    taskId: SeriesId,
    name: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/))),
    from: Text,
    to: Text,
  }),
  Schema.Struct({
    action: Schema.Literal("show_task"),
    taskId: SeriesId,
    count: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
  }),
  Schema.Struct({ action: Schema.Literal("list_tasks") }),
])
export type TaskAction = typeof TaskAction.Type

/** `question`: the agent waits for what it asked, and is woken for it. `done`: it rides along with the next message. */
export interface TaskAnswer {
  readonly kind: "question" | "done"
  readonly text: string
}

const SHOWN_SLOTS = 3
const SHOWN_RUNS = 10
const MAX_LISTED = 200
/** Active and paused tasks of one session beyond which its agent makes no more. */
const MAX_TASKS = 500

/** Does it in the unit of the session that the tasks belong to. */
export const performTaskAction = (
  unit: SessionUnit,
  action: TaskAction,
): Result.Result<TaskAnswer, Refusal> => {
  switch (action.action) {
    case "list_tasks":
      return Result.succeed({ kind: "question", text: listOf(unit) })
    case "show_task":
      return Result.map(ownSeries(unit, action.taskId), (series) => ({
        kind: "question",
        text: reportOf(unit, series, action.count ?? SHOWN_SLOTS),
      }))
    case "run_task": {
      // Made by what only one action can be: the number that its run gets.
      const id = MessageId.make(`run-${unit.session().id}-${unit.session().hostSeq + 2}`)
      return Result.map(runNow(unit, action.taskId, id), ({ id: run }) => ({
        kind: "done",
        text: `run_task ${action.taskId} is done: it runs now, as ${run}`,
      }))
    }
    case "backfill_task":
      return Result.map(backfill(unit, action), (count) => ({
        kind: "done",
        text: `backfill_task ${action.taskId} is done: ${count} runs are queued`,
      }))
    default:
      return Result.map(changed(unit, action), (series) => ({
        kind: "done",
        text: `${action.action} ${nameOf(series)} is done: ${stateOf(series)}`,
      }))
  }
}

type Changing = Exclude<
  TaskAction,
  { readonly action: "list_tasks" | "show_task" | "run_task" | "backfill_task" }
>

const changed = (unit: SessionUnit, action: Changing): Result.Result<Series, Refusal> => {
  switch (action.action) {
    case "schedule_task": {
      const crowd = refuseCrowd(unit)
      if (crowd !== undefined) return Result.fail(crowd)
      const { action: _, processAfter, recurrence = null, ...said } = action
      return createSeries(unit, {
        name: null,
        script: null,
        priority: 1,
        ttlMs: null,
        ...nowhere,
        ...said,
        // The agent's names are its session's own; the ledger's are the host's to give.
        id: SeriesId.make(`task-${unit.session().id}-${unit.session().hostSeq + 2}`),
        schedule: { recurrence, processAfter },
      })
    }
    case "update_task":
      return updateSeries(unit, action.taskId, action)
    case "pause_task":
      return pauseSeries(unit, action.taskId, action.note ?? "paused by the agent")
    case "resume_task":
      return resumeSeries(unit, action.taskId, action.pausedSlots)
    default:
      return cancelSeries(unit, action.taskId)
  }
}

/** Operators may give a session more: an agent can go wrong each second. */
const refuseCrowd = (unit: SessionUnit): Full | undefined => {
  const sessionId = unit.session().id
  const open = (["active", "paused"] as const).reduce(
    (count, status) => count + unit.tx.seriesList({ sessionId, status }, { limit: MAX_TASKS }).length,
    0,
  )
  return open < MAX_TASKS
    ? undefined
    : new Full({
        message: `there are ${open} tasks, as many as an agent may make (${MAX_TASKS}); cancel some`,
      })
}

const backfill = (
  unit: SessionUnit,
  action: { readonly taskId: SeriesId; readonly name?: string; readonly from: string; readonly to: string },
): Result.Result<number, Refusal> =>
  Result.flatMap(readInstant("from", action.from), (from) =>
    Result.flatMap(readInstant("to", action.to), (to) =>
      Result.map(
        backfillSeries(unit, action.taskId, { name: action.name ?? "agent", from, to }),
        (made) => made.length,
      ),
    ),
  )

/** What its agent calls it. */
const nameOf = (series: Series): SeriesId => series.taskId ?? series.id

/** What will happen now, in words. */
const stateOf = (series: Series, count: number = SHOWN_SLOTS): string => {
  const words = describeSchedule(series.schedule)
  if (series.status !== "active" || series.nextSlot === null) return `the task is ${series.status} (${words})`
  const slots = [series.nextSlot, ...previewOf(series, series.nextSlot, count - 1)]
  return `${words}; next: ${slots.map((slot) => formatZoned(slot, series.zone)).join(", ")}`
}

const listOf = (unit: SessionUnit): string => {
  const tasks = unit.tx
    .seriesList({ sessionId: unit.session().id }, { limit: MAX_LISTED })
    .filter(({ status }) => status === "active" || status === "paused")
  if (tasks.length === 0) return "There are no tasks."
  return tasks.map((task) => `${nameOf(task)} (revision ${task.revision}): ${stateOf(task, 1)}`).join("\n")
}

const reportOf = (unit: SessionUnit, series: Series, count: number): string =>
  [
    `task ${nameOf(series)}, revision ${series.revision}, ${series.status}${series.note === null ? "" : ` (${series.note})`}`,
    stateOf(series, count),
    `prompt: ${series.prompt}`,
    `overlap: ${series.overlap}; catch-up: ${series.catchUp}`,
    ...unit.tx
      .runs({ seriesId: series.id }, { limit: SHOWN_RUNS })
      .map((run) => `run of ${formatZoned(run.slot ?? run.dueAt, series.zone)}: ${runText(run)}`),
  ].join("\n")

const runText = (run: Run): string =>
  `${run.outcome}${run.count > 1 ? ` (${run.count} times)` : ""}${run.error === null ? "" : `: ${run.error}`}`
