/** `task`, `runs` and `next`: recurring tasks, what became of them, and when a schedule fires. */
import { Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { GroupId, SeriesId, SessionId } from "../domain/Ids.ts"
import { type Run, RunOutcome } from "../domain/Run.ts"
import { nextSlot, parseSchedule, validateZone } from "../domain/Recurrence.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { positionFlags } from "./PageFlags.ts"
import { CommandError, jsonFlag as json, orCommandError } from "./Root.ts"

const taskAdd = Command.make(
  "add",
  {
    group: Argument.String("group").pipe(Argument.withSchema(GroupId)),
    schedule: Argument.String("schedule"),
    prompt: Argument.String("prompt"),
    id: Flag.String("id").pipe(Flag.withSchema(SeriesId), Flag.optional),
    zone: Flag.String("zone").pipe(Flag.optional),
    script: Flag.String("script").pipe(Flag.optional),
    json,
  },
  Effect.fn(function* (input) {
    const api = yield* connectDaemon
    const task = yield* api.addTask({
      payload: {
        groupId: input.group,
        schedule: input.schedule,
        prompt: input.prompt,
        name: null,
        script: Option.getOrNull(input.script),
        zone: Option.getOrNull(input.zone),
        ttlMs: null,
        ...(Option.isSome(input.id) ? { id: input.id.value } : {}),
      },
    })
    yield* show(input.json, task, () => [`task ${task.id}, next ${instant(task.nextSlot)}`])
  }),
).pipe(Command.withDescription("Add a recurring or one-off task"))

const taskList = Command.make("list", { json }, (input) =>
  Effect.gen(function* () {
    const tasks = yield* (yield* connectReading).tasks()
    yield* show(input.json, tasks, () =>
      table(
        ["id", "group", "status", "next", "prompt"],
        tasks.map((task) => [task.id, task.groupId, task.status, instant(task.nextSlot), task.prompt]),
      ),
    )
  }),
)

/** The last runs as a line of marks, oldest first, so that a pattern shows at a glance. */
const marks: Readonly<Record<Run["outcome"], string>> = {
  completed: "✓",
  failed: "✗",
  skipped: "·",
  cancelled: "c",
  expired: "e",
  overlap: "o",
  missed: "m",
  paused: "p",
}

const taskShow = Command.make(
  "show",
  { id: Argument.String("id").pipe(Argument.withSchema(SeriesId)), json },
  (input) =>
    Effect.gen(function* () {
      const report = yield* (yield* connectReading).task({ params: { id: input.id } })
      const { next, runs, task, words } = report
      yield* show(input.json, report, () => [
        `task: ${task.id}${task.name === null ? "" : ` (${task.name})`}, ${task.status}${task.note === null ? "" : `: ${task.note}`}`,
        `session: ${task.sessionId} of group ${task.groupId}`,
        `schedule: ${words}, zone ${task.zone}`,
        `prompt: ${task.prompt}`,
        ...(task.script === null ? [] : [`script: ${task.script}`]),
        `next: ${next.map(instant).join(", ") || "-"}`,
        `runs: ${
          runs
            .map((run) => marks[run.outcome])
            .toReversed()
            .join("") || "-"
        }`,
        `revision: ${task.revision}`,
      ])
    }),
).pipe(
  Command.withDescription(
    `Show one task, its next instants and its last runs: ${Object.entries(marks)
      .map(([outcome, mark]) => `${mark} ${outcome}`)
      .join(", ")}`,
  ),
)

const taskUpdate = Command.make(
  "update",
  {
    id: Argument.String("id").pipe(Argument.withSchema(SeriesId)),
    schedule: Flag.String("schedule").pipe(
      Flag.withDescription("The new schedule; a pending occurrence of the old one is cancelled"),
      Flag.optional,
    ),
    prompt: Flag.String("prompt").pipe(Flag.optional),
    script: Flag.String("script").pipe(Flag.withDescription("Bash, or - for none"), Flag.optional),
    revision: Flag.Int("revision").pipe(
      Flag.withDescription("Refuse if somebody else changed the task since this revision"),
      Flag.optional,
    ),
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const task = yield* (yield* connectDaemon).changeTask({
        params: { id: input.id },
        payload: {
          change: {
            _tag: "Update",
            change: {
              ...(Option.isSome(input.schedule) ? { recurrence: input.schedule.value } : {}),
              ...(Option.isSome(input.prompt) ? { prompt: input.prompt.value } : {}),
              ...(Option.isSome(input.script)
                ? { script: input.script.value === "-" ? null : input.script.value }
                : {}),
              ...(Option.isSome(input.revision) ? { revision: input.revision.value } : {}),
            },
          },
        },
      })
      yield* show(input.json, task, () => [
        `task ${task.id} is at revision ${task.revision}, next ${instant(task.nextSlot)}`,
      ])
    }),
).pipe(Command.withDescription("Change a task; a claimed occurrence finishes as it was"))

const taskVerb = (verb: "pause" | "resume" | "cancel") =>
  Command.make(verb, { id: Argument.String("id").pipe(Argument.withSchema(SeriesId)), json }, (input) =>
    Effect.gen(function* () {
      const api = yield* connectDaemon
      const change =
        verb === "pause"
          ? ({ _tag: "Pause", note: null } as const)
          : verb === "resume"
            ? ({ _tag: "Resume" } as const)
            : ({ _tag: "Cancel" } as const)
      const task = yield* api.changeTask({ params: { id: input.id }, payload: { change } })
      yield* show(input.json, task, () => [`task ${task.id} is ${task.status}`])
    }),
  )

const taskRun = Command.make(
  "run",
  { id: Argument.String("id").pipe(Argument.withSchema(SeriesId)), json },
  (input) =>
    Effect.gen(function* () {
      const message = yield* (yield* connectDaemon).runTask({ params: { id: input.id } })
      yield* show(input.json, message, () => [`run ${message.id}`])
    }),
)

const runs = Command.make(
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
        query: {
          taskId: Option.getOrUndefined(input.task),
          sessionId: Option.getOrUndefined(input.session),
          outcome: Option.getOrUndefined(input.outcome),
          limit: Option.getOrUndefined(input.limit),
          after: Option.getOrUndefined(input.after),
        },
      })
      yield* show(input.json, rows, () =>
        table(
          ["ended", "task", "outcome", "attempts", "count", "error"],
          rows.map((row) => [
            instant(row.endedAt),
            row.seriesId ?? "-",
            row.outcome,
            String(row.attempts),
            String(row.count),
            row.error ?? "",
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List what ran, and what did not and why"))

const next = Command.make(
  "next",
  {
    schedule: Argument.String("schedule"),
    tz: Flag.String("tz").pipe(Flag.withDefault("UTC")),
    from: Flag.String("from").pipe(Flag.optional),
    count: Flag.Int("count").pipe(Flag.withDefault(3)),
    json,
  },
  Effect.fn(function* (input) {
    const zone = yield* orCommandError(validateZone(input.tz))
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
    const schedule = yield* orCommandError(
      parseSchedule(input.schedule, { zone, now: Math.max(0, from - 1) }),
    )
    const slots: Array<string> = []
    let at: number | null = from
    while (slots.length < input.count) {
      at = nextSlot(schedule, at)
      if (at === null) break
      slots.push(new Date(at).toISOString())
    }
    yield* show(input.json, { next: slots }, () => slots)
  }),
).pipe(Command.withDescription("Print the next instants of a schedule, without a daemon"))

export const taskCommand = Command.make("task").pipe(
  Command.withDescription("Recurring tasks"),
  Command.withSubcommands([
    taskAdd,
    taskList,
    taskShow,
    taskUpdate,
    taskVerb("pause"),
    taskVerb("resume"),
    taskVerb("cancel"),
    taskRun,
  ]),
)

export const runsCommand = runs
export const nextCommand = next
