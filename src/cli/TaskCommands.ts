/** `task`: recurring tasks, from their making to their end. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, SeriesId, SessionId } from "../domain/Ids.ts"
import { describeSchedule } from "../domain/Recurrence.ts"
import { SeriesStatus } from "../domain/Series.ts"
import { PageLimit } from "../services/operations/Requests.ts"
import type { TaskChange } from "../services/operations/Tasks.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { choice, formed, number, text, whether, given } from "./Flags.ts"
import { pageFlags } from "./PageFlags.ts"
import { jsonFlag as json } from "./Root.ts"
import {
  echo,
  echoed,
  localInstant,
  marks,
  nextLine,
  scheduleLine,
  settingLines,
  statisticsLines,
} from "./TaskLines.ts"
import { saidOf, taskSettings } from "./TaskSettings.ts"
import { instantOf } from "./TimeFlags.ts"

const id = Argument.String("id").pipe(Argument.withSchema(SeriesId))

/** Of a prompt in a table. */
const SHOWN_CHARS = 60

const taskAdd = Command.make(
  "add",
  {
    group: Argument.String("group").pipe(Argument.withSchema(GroupId)),
    schedule: Argument.String("schedule"),
    prompt: Argument.String("prompt"),
    id: formed("id", SeriesId, "Your id: adding the same again under it changes nothing"),
    zone: text("zone", "IANA time zone of its schedule; the group's if not said"),
    name: text("name", "For people"),
    session: formed("session", SessionId, "The session that runs it"),
    script: text("script", "Bash before each run; its last line of JSON can skip it"),
    ...taskSettings,
    json,
  },
  Effect.fn(function* (input) {
    const said = yield* saidOf(input)
    const api = yield* connectDaemon
    const task = yield* api.addTask({
      ttlMs: null,
      ...said,
      groupId: input.group,
      schedule: input.schedule,
      prompt: input.prompt,
      name: Option.getOrNull(input.name),
      script: Option.getOrNull(input.script),
      zone: Option.getOrNull(input.zone),
      ...given({ sessionId: input.session, id: input.id }),
    })
    const report = yield* api.task({ id: task.id })
    yield* show(input.json, echoed(report), () => echo(report))
  }),
).pipe(Command.withDescription("Add a recurring or one-off task"))

const taskList = Command.make(
  "list",
  {
    group: formed("group", GroupId, "Only this group's"),
    session: formed("session", SessionId, "Only this session's"),
    status: choice("status", SeriesStatus.literals, "Only those that stand so"),
    ...pageFlags("the id of the last row of the page before"),
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const tasks = yield* (yield* connectReading).tasks(
        given({
          groupId: input.group,
          sessionId: input.session,
          status: input.status,
          limit: input.limit,
          after: input.after,
        }),
      )
      yield* show(input.json, tasks, () =>
        table(
          ["id", "group", "status", "schedule", "next", "prompt"],
          tasks.map((task) => [
            task.id,
            task.groupId,
            task.status,
            describeSchedule(task.schedule),
            instant(task.nextSlot),
            task.prompt.slice(0, SHOWN_CHARS),
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List tasks, by id"))

const taskShow = Command.make("show", { id, json }, (input) =>
  Effect.gen(function* () {
    const report = yield* (yield* connectReading).task({ id: input.id })
    const { runs, task } = report
    yield* show(input.json, report, () => [
      `task: ${task.id}${task.name === null ? "" : ` (${task.name})`}, ${task.status}${task.note === null ? "" : `: ${task.note}`}`,
      `session: ${task.sessionId} of group ${task.groupId}`,
      `schedule: ${scheduleLine(report)}`,
      `prompt: ${task.prompt}`,
      ...(task.script === null ? [] : [`script: ${task.script}`]),
      `overlap: ${task.overlap}; catch-up: ${task.catchUp}`,
      ...settingLines(task),
      nextLine(report),
      ...statisticsLines(report.statistics),
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
    id,
    schedule: text("schedule", "The new schedule; a pending occurrence of the old one is cancelled"),
    zone: text("zone", "Read the schedule in this zone; without it the task's own stays"),
    prompt: text("prompt", "What the agent is told"),
    script: text("script", "Bash, or - for none"),
    revision: number("revision", "Refuse if somebody else changed the task since this revision"),
    ...taskSettings,
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const said = yield* saidOf(input)
      const api = yield* connectDaemon
      const task = yield* api.changeTask({
        id: input.id,
        change: {
          _tag: "Update",
          change: {
            ...said,
            ...given({ recurrence: input.schedule, zone: input.zone, prompt: input.prompt }),
            ...given({ script: Option.map(input.script, (bash) => (bash === "-" ? null : bash)) }),
            ...given({ revision: input.revision }),
          },
        },
      })
      const report = yield* api.task({ id: task.id })
      yield* show(input.json, echoed(report), () => [...echo(report), `revision: ${task.revision}`])
    }),
).pipe(Command.withDescription("Change a task; a claimed occurrence finishes as it was"))

const changed = Effect.fnUntraced(function* (series: SeriesId, change: TaskChange, asJson: boolean) {
  const task = yield* (yield* connectDaemon).changeTask({ id: series, change })
  yield* show(asJson, task, () => [
    `task ${task.id} is ${task.status}${task.note === null ? "" : `: ${task.note}`}, next ${task.status === "active" ? instant(task.nextSlot) : "-"}`,
  ])
})

const taskPause = Command.make(
  "pause",
  {
    id,
    note: text("note", "Why, for whoever looks at it"),
    json,
  },
  (input) => changed(input.id, { _tag: "Pause", note: Option.getOrNull(input.note) }, input.json),
).pipe(Command.withDescription("Fire nothing until it is resumed; a claimed occurrence finishes"))

const taskResume = Command.make(
  "resume",
  {
    id,
    catchUp: whether(
      "catch-up",
      "Deal with the slots of the pause by the catch-up policy, instead of recording them only",
    ),
    json,
  },
  (input) =>
    changed(input.id, { _tag: "Resume", pausedSlots: input.catchUp ? "catch-up" : "record" }, input.json),
).pipe(Command.withDescription("End a pause, its own included"))

const taskCancel = Command.make("cancel", { id, json }, (input) =>
  changed(input.id, { _tag: "Cancel" }, input.json),
).pipe(Command.withDescription("End it for good; a claimed occurrence finishes"))

const taskBackfill = Command.make(
  "backfill",
  {
    id,
    from: Flag.String("from").pipe(Flag.withDescription("The first instant of the range")),
    to: Flag.String("to").pipe(Flag.withDescription("The last instant of the range")),
    name: Flag.String("name").pipe(
      Flag.withDescription("Repeating a backfill under the same name runs nothing twice"),
      Flag.withDefault("backfill"),
    ),
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const from = yield* instantOf("from", input.from)
      const to = yield* instantOf("to", input.to)
      const made = yield* (yield* connectDaemon).backfillTask({
        id: input.id,
        name: input.name,
        from,
        to,
      })
      yield* show(input.json, made, () => [`${made.length} runs of task ${input.id} are queued`])
    }),
).pipe(Command.withDescription("Run the slots of a range, each once, beside the schedule"))

const taskPreview = Command.make(
  "preview",
  { id, count: Flag.Int("count").pipe(Flag.withSchema(PageLimit), Flag.withDefault(10)), json },
  (input) =>
    Effect.gen(function* () {
      const { next, task } = yield* (yield* connectReading).task({
        id: input.id,
        count: input.count,
      })
      yield* show(input.json, { next: next.map(instant) }, () =>
        next.map((slot) => localInstant(slot, task.zone)),
      )
    }),
).pipe(Command.withDescription("Print the next instants of a task, its bounds considered"))

const taskRun = Command.make("run", { id, json }, (input) =>
  Effect.gen(function* () {
    const message = yield* (yield* connectDaemon).runTask({ id: input.id })
    yield* show(input.json, message, () => [`run ${message.id}`])
  }),
)

export const taskCommand = Command.make("task").pipe(
  Command.withSubcommands([
    taskAdd,
    taskList,
    taskShow,
    taskUpdate,
    taskPause,
    taskResume,
    taskCancel,
    taskRun,
    taskBackfill,
    taskPreview,
  ]),
)
