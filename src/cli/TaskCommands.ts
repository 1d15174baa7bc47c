/** `task`: recurring tasks, from their making to their end. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, SeriesId, SessionId } from "../domain/Ids.ts"
import { describeSchedule } from "../domain/Recurrence.ts"
import { type Series, SeriesStatus } from "../domain/Series.ts"
import { PageLimit } from "../services/operations/Requests.ts"
import { changing, pageFlags, reading } from "./Asking.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { choice, formed, number, text, whether, given } from "./Flags.ts"
import { family, jsonFlag as json } from "./Root.ts"
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

const taskList = reading(
  (api) => api.tasks,
  "list",
  "List tasks, by id",
  {
    groupId: formed("group", GroupId, "Only this group's"),
    sessionId: formed("session", SessionId, "Only this session's"),
    status: choice("status", SeriesStatus.literals, "Only those that stand so"),
    ...pageFlags,
  },
  (tasks) =>
    table(tasks, {
      id: (task) => task.id,
      group: (task) => task.groupId,
      status: (task) => task.status,
      schedule: (task) => describeSchedule(task.schedule),
      next: (task) => instant(task.nextSlot),
      prompt: (task) => task.prompt.slice(0, SHOWN_CHARS),
    }),
)

/** What each mark of a run means. */
const legend = Object.entries(marks).map(([outcome, mark]) => `${mark} ${outcome}`)

const taskShow = reading(
  (api) => api.task,
  "show",
  `Show one task, its next instants and its last runs: ${legend.join(", ")}`,
  { id },
  (report) => {
    const { runs, task } = report
    const lastRuns = runs.map((run) => marks[run.outcome]).toReversed()
    return [
      `task: ${task.id}${task.name === null ? "" : ` (${task.name})`}, ${task.status}${task.note === null ? "" : `: ${task.note}`}`,
      `session: ${task.sessionId} of group ${task.groupId}`,
      `schedule: ${scheduleLine(report)}`,
      `prompt: ${task.prompt}`,
      ...(task.script === null ? [] : [`script: ${task.script}`]),
      `overlap: ${task.overlap}; catch-up: ${task.catchUp}`,
      ...settingLines(task),
      nextLine(report),
      ...statisticsLines(report.statistics),
      `runs: ${lastRuns.join("") || "-"}`,
      `revision: ${task.revision}`,
    ]
  },
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

/** One line of how a task stands after a change. */
const standing = (task: Series): ReadonlyArray<string> => [
  `task ${task.id} is ${task.status}${task.note === null ? "" : `: ${task.note}`}, next ${task.status === "active" ? instant(task.nextSlot) : "-"}`,
]

const taskPause = changing(
  (api) => (said) => api.changeTask({ id: said.id, change: { _tag: "Pause", note: said.note ?? null } }),
  "pause",
  "Fire nothing until it is resumed; a claimed occurrence finishes",
  { id, note: text("note", "Why, for whoever looks at it") },
  standing,
)

const taskResume = changing(
  (api) => (said) =>
    api.changeTask({
      id: said.id,
      change: { _tag: "Resume", pausedSlots: said.catchUp ? "catch-up" : "record" },
    }),
  "resume",
  "End a pause, its own included",
  {
    id,
    catchUp: whether(
      "catch-up",
      "Deal with the slots of the pause by the catch-up policy, instead of recording them only",
    ),
  },
  standing,
)

const taskCancel = changing(
  (api) => (said) => api.changeTask({ id: said.id, change: { _tag: "Cancel" } }),
  "cancel",
  "End it for good; a claimed occurrence finishes",
  { id },
  standing,
)

const taskBackfill = changing(
  (api) =>
    Effect.fnUntraced(function* (said) {
      const from = yield* instantOf("from", said.from)
      return yield* api.backfillTask({ ...said, from, to: yield* instantOf("to", said.to) })
    }),
  "backfill",
  "Run the slots of a range, each once, beside the schedule",
  {
    id,
    from: Flag.String("from").pipe(Flag.withDescription("The first instant of the range")),
    to: Flag.String("to").pipe(Flag.withDescription("The last instant of the range")),
    name: Flag.String("name").pipe(
      Flag.withDescription("Repeating a backfill under the same name runs nothing twice"),
      Flag.withDefault("backfill"),
    ),
  },
  (made, said) => [`${made.length} runs of task ${said.id} are queued`],
)

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

const taskRun = changing(
  (api) => api.runTask,
  "run",
  "Run it once, now, beside the schedule",
  { id },
  (message) => [`run ${message.id}`],
)

export const taskCommand = family("task", [
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
])
