/** `task`: recurring tasks, from their making to their end. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, SeriesId, SessionId } from "../domain/Ids.ts"
import { describeSchedule } from "../domain/Recurrence.ts"
import { plural } from "../domain/ScheduleWords.ts"
import { type Series, SeriesStatus } from "../domain/Series.ts"
import { PageLimit } from "../services/operations/Requests.ts"
import { changing, pageFlags, reading } from "./Asking.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { choice, formed, number, text, textAs, textOr, unlessDash, whether } from "./Flags.ts"
import { instant, show, table } from "./Output.ts"
import { family, jsonFlag, showing } from "./Root.ts"
import * as Lines from "./TaskLines.ts"
import { saidOf, taskSettings } from "./TaskSettings.ts"
import { instantOf } from "./FlagTexts.ts"

const id = Argument.String("id").pipe(Argument.withSchema(SeriesId))

/** Of a prompt in a table. */
const SHOWN_CHARS = 60

const taskAdd = showing(
  "add",
  "Add a recurring or one-off task",
  {
    task: {
      groupId: Argument.String("group").pipe(Argument.withSchema(GroupId)),
      schedule: Argument.String("schedule"),
      prompt: Argument.String("prompt"),
      id: formed("id", SeriesId, "Your id: adding the same again under it changes nothing"),
      zone: text("zone", "IANA time zone of its schedule; the group's if not said"),
      name: text("name", "For people"),
      sessionId: formed("session", SessionId, "The session that runs it"),
      script: text("script", "Bash before each run; its last line of JSON can skip it"),
    },
    settings: taskSettings,
  },
  Effect.fnUntraced(function* (said) {
    const plain = { ttlMs: null, name: null, script: null, zone: null }
    const task = { ...plain, ...(yield* saidOf(said.settings)), ...said.task }
    const api = yield* connectDaemon
    const { id } = yield* api.addTask(task)
    return Lines.echoed(yield* api.task({ id }))
  }),
  Lines.echo,
)

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
const legend = Object.entries(Lines.marks).map(([outcome, mark]) => `${mark} ${outcome}`)

const taskShow = reading(
  (api) => api.task,
  "show",
  `Show one task, its next instants and its last runs: ${legend.join(", ")}`,
  { id },
  (report) => {
    const task = Lines.echoed(report)
    const runs = report.runs.map(({ outcome }) => Lines.marks[outcome]).toReversed()
    return [
      `task: ${task.id}${task.name === null ? "" : ` (${task.name})`}, ${task.status}${noteOf(task)}`,
      `session: ${task.sessionId} of group ${task.groupId}`,
      `schedule: ${Lines.scheduleLine(task)}`,
      `prompt: ${task.prompt}`,
      ...(task.script === null ? [] : [`script: ${task.script}`]),
      `overlap: ${task.overlap}; catch-up: ${task.catchUp}`,
      ...Lines.settingLines(task),
      Lines.nextLine(task),
      ...Lines.statisticsLines(report.statistics),
      `runs: ${runs.join("") || "-"}`,
      `revision: ${task.revision}`,
    ]
  },
)

const taskUpdate = showing(
  "update",
  "Change a task; a claimed occurrence finishes as it was",
  {
    id,
    change: {
      recurrence: text("schedule", "The new schedule; a pending occurrence of the old one is cancelled"),
      zone: text("zone", "Read the schedule in this zone; without it the task's own stays"),
      prompt: text("prompt", "What the agent is told"),
      script: textAs("script", unlessDash, "Bash, or - for none"),
      revision: number("revision", "Refuse if somebody else changed the task since this revision"),
    },
    settings: taskSettings,
  },
  Effect.fnUntraced(function* ({ id, ...said }) {
    const change = { ...(yield* saidOf(said.settings)), ...said.change }
    const api = yield* connectDaemon
    yield* api.changeTask({ id, change: { _tag: "Update", change } })
    return Lines.echoed(yield* api.task({ id }))
  }),
  (task) => [...Lines.echo(task), `revision: ${task.revision}`],
)

const noteOf = ({ note }: Series): string => (note === null ? "" : `: ${note}`)

/** One line of how a task stands after a change. */
const standing = (task: Series): ReadonlyArray<string> => [
  `task ${task.id} is ${task.status}${noteOf(task)}, next ${task.status === "active" ? instant(task.nextSlot) : "-"}`,
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
    name: textOr("name", "backfill", "Repeating a backfill under the same name runs nothing twice"),
  },
  (made, said) => [`${plural(made.length, "run")} of task ${said.id} queued`],
)

const taskPreview = Command.make(
  "preview",
  { id, count: Flag.Int("count").pipe(Flag.withSchema(PageLimit), Flag.withDefault(10)), json: jsonFlag },
  Effect.fnUntraced(function* ({ json, ...asked }) {
    const { next, task } = yield* (yield* connectReading).task(asked)
    yield* show(json, { next: next.map(instant) }, () =>
      next.map((slot) => Lines.localInstant(slot, task.zone)),
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
