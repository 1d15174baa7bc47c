/** `task`, `runs` and `next`: recurring tasks, what became of them, and when a schedule fires. */
import { Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { GroupId, SeriesId, SessionId } from "../domain/Ids.ts"
import { type Run, RunOutcome } from "../domain/Run.ts"
import {
  CatchUpPolicy,
  ContextPolicy,
  defaultSeriesPolicy,
  OverlapPolicy,
  unbounded,
} from "../domain/SeriesPolicy.ts"
import { PRIORITIES } from "../domain/Message.ts"
import { parseDuration } from "../layers/configuration/QuantityText.ts"
import type { TaskChange, TaskReport } from "../services/Operations.ts"
import { nextSlot, parseSchedule, validateZone } from "../domain/Recurrence.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
import { positionFlags } from "./PageFlags.ts"
import { CommandError, jsonFlag as json, orCommandError } from "./Root.ts"

/** What a task may say beyond its schedule; docs/scheduling.md explains each. */
const settings = {
  overlap: Flag.Literals("overlap", OverlapPolicy.literals).pipe(
    Flag.withDescription("When a slot comes while the last occurrence has not ended"),
    Flag.optional,
  ),
  catchUp: Flag.Literals("catch-up", CatchUpPolicy.literals).pipe(
    Flag.withDescription("Slots that passed while the daemon was down"),
    Flag.optional,
  ),
  catchUpWindow: duration("catch-up-window", "Older slots are recorded as missed only"),
  catchUpCap: Flag.Int("catch-up-cap").pipe(Flag.optional),
  stagger: duration("stagger", "Between caught-up occurrences"),
  bufferLimit: Flag.Int("buffer-limit").pipe(Flag.optional),
  pauseAfter: Flag.Int("pause-after-failures").pipe(
    Flag.withDescription("Pause after so many failed runs in a row"),
    Flag.optional,
  ),
  startToClose: duration("start-to-close", "Cancel a run that takes longer"),
  context: Flag.Literals("context", ContextPolicy.literals).pipe(
    Flag.withDescription("isolated: each run in a fresh session"),
    Flag.optional,
  ),
  retention: duration("isolated-retention", "Keep an isolated session this long after its run"),
  retryLimit: Flag.Int("retry-limit").pipe(Flag.optional),
  retryBase: duration("retry-base", "The first backoff of a retry"),
  ttl: duration("ttl", "A run that nothing claimed within this expires"),
  priority: Flag.Literals("priority", ["low", "normal", "high"]).pipe(Flag.optional),
  start: Flag.String("start").pipe(Flag.withDescription("No slot before this instant"), Flag.optional),
  end: Flag.String("end").pipe(Flag.withDescription("No slot after this instant"), Flag.optional),
  maxRuns: Flag.Int("max-runs").pipe(Flag.optional),
  exclude: Flag.String("exclude").pipe(
    Flag.withDescription("Dates without slots, e.g. 2026-12-25,2027-01-01"),
    Flag.optional,
  ),
  jitter: duration("jitter", "Delay every run by the same share of this, which the task's id decides"),
}

function duration(name: string, description: string) {
  return Flag.String(name).pipe(
    Flag.withDescription(`${description}, e.g. 90s or 2h`),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(parseDuration(text)),
      (text) => `--${name} ${text} is not a length of time; write it as 90s or 2h`,
    ),
    Flag.optional,
  )
}

type Settings = Command.Command.Config.Infer<typeof settings>

const instantOf = (flag: string, text: string) => {
  const parsed = parseExchangeTime(text)
  return Result.isSuccess(parsed)
    ? Effect.succeed(parsed.success.at)
    : Effect.fail(
        new CommandError({
          message: `--${flag} ${text} is not an instant; write it as 2026-12-01T09:00:00Z`,
        }),
      )
}

/** The fields that the flags say, and no others. */
const saidOf = Effect.fnUntraced(function* (input: Settings) {
  const given = <A extends Readonly<Record<string, Option.Option<unknown>>>>(options: A) =>
    Object.fromEntries(
      Object.entries(options).flatMap(([name, option]) =>
        Option.isSome(option) ? [[name, option.value]] : [],
      ),
    ) as { readonly [Name in keyof A]?: Option.Option.Value<A[Name]> }
  const bounds = {
    ...given({ maxRuns: input.maxRuns, jitterMs: input.jitter }),
    ...(Option.isSome(input.start) ? { startAt: yield* instantOf("start", input.start.value) } : {}),
    ...(Option.isSome(input.end) ? { endAt: yield* instantOf("end", input.end.value) } : {}),
    ...(Option.isSome(input.exclude)
      ? { exclusions: input.exclude.value.split(",").filter((date) => date !== "") }
      : {}),
  }
  const policy = given({
    catchUpWindowMs: input.catchUpWindow,
    catchUpCap: input.catchUpCap,
    staggerMs: input.stagger,
    bufferLimit: input.bufferLimit,
    pauseAfterFailures: input.pauseAfter,
    startToCloseMs: input.startToClose,
    context: input.context,
    isolatedRetentionMs: input.retention,
    retryLimit: input.retryLimit,
    retryBaseMs: input.retryBase,
  })
  return {
    ...given({ overlap: input.overlap, catchUp: input.catchUp, ttlMs: input.ttl }),
    ...(Option.isSome(input.priority) ? { priority: PRIORITIES[input.priority.value] } : {}),
    ...(Object.keys(bounds).length > 0 ? { bounds } : {}),
    ...(Object.keys(policy).length > 0 ? { policy } : {}),
  }
})

/** What will happen, in words: nobody should have to wait for the first run to learn what a schedule means. */
const echo = (report: TaskReport): ReadonlyArray<string> => [
  `task ${report.task.id} is ${report.task.status}: ${report.words} (${report.task.zone})`,
  `next: ${report.next.map(instant).join(", ") || "-"}`,
]

const taskAdd = Command.make(
  "add",
  {
    group: Argument.String("group").pipe(Argument.withSchema(GroupId)),
    schedule: Argument.String("schedule"),
    prompt: Argument.String("prompt"),
    id: Flag.String("id").pipe(Flag.withSchema(SeriesId), Flag.optional),
    zone: Flag.String("zone").pipe(Flag.optional),
    name: Flag.String("name").pipe(Flag.optional),
    session: Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional),
    script: Flag.String("script").pipe(
      Flag.withDescription("Bash before each run; its last line of JSON can skip it"),
      Flag.optional,
    ),
    ...settings,
    json,
  },
  Effect.fn(function* (input) {
    const said = yield* saidOf(input)
    const api = yield* connectDaemon
    const task = yield* api.addTask({
      payload: {
        ttlMs: null,
        ...said,
        groupId: input.group,
        schedule: input.schedule,
        prompt: input.prompt,
        name: Option.getOrNull(input.name),
        script: Option.getOrNull(input.script),
        zone: Option.getOrNull(input.zone),
        ...(Option.isSome(input.session) ? { sessionId: input.session.value } : {}),
        ...(Option.isSome(input.id) ? { id: input.id.value } : {}),
      },
    })
    const report = yield* api.task({ params: { id: task.id }, query: {} })
    yield* show(input.json, task, () => echo(report))
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

const isDefault = (name: string, value: unknown): boolean =>
  JSON.stringify(value) === JSON.stringify({ ...unbounded, ...defaultSeriesPolicy }[name as "jitterMs"])

const statisticsLines = (figures: TaskReport["statistics"]): ReadonlyArray<string> =>
  figures.runs === 0
    ? []
    : [
        `succeeded: ${figures.completed} of ${figures.completed + figures.failed}; not run: ${figures.notRun}`,
        `duration: ${spread(figures.durationMs)}; late: ${spread(figures.latenessMs)}`,
      ]

const spread = (figures: TaskReport["statistics"]["durationMs"]): string =>
  figures === null ? "-" : `p50 ${figures.p50} ms, p99 ${figures.p99} ms`

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
      const report = yield* (yield* connectReading).task({ params: { id: input.id }, query: {} })
      const { next, runs, task, words } = report
      yield* show(input.json, report, () => [
        `task: ${task.id}${task.name === null ? "" : ` (${task.name})`}, ${task.status}${task.note === null ? "" : `: ${task.note}`}`,
        `session: ${task.sessionId} of group ${task.groupId}`,
        `schedule: ${words}, zone ${task.zone}`,
        `prompt: ${task.prompt}`,
        ...(task.script === null ? [] : [`script: ${task.script}`]),
        `overlap: ${task.overlap}; catch-up: ${task.catchUp}`,
        ...[...Object.entries(task.bounds), ...Object.entries(task.policy)]
          .filter(([name, value]) => !isDefault(name, value))
          .map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
        `next: ${next.map(instant).join(", ") || "-"}`,
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
    ...settings,
    json,
  },
  (input) =>
    Effect.gen(function* () {
      const said = yield* saidOf(input)
      const api = yield* connectDaemon
      const task = yield* api.changeTask({
        params: { id: input.id },
        payload: {
          change: {
            _tag: "Update",
            change: {
              ...said,
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
      const report = yield* api.task({ params: { id: task.id }, query: {} })
      yield* show(input.json, task, () => [...echo(report), `revision: ${task.revision}`])
    }),
).pipe(Command.withDescription("Change a task; a claimed occurrence finishes as it was"))

const id = Argument.String("id").pipe(Argument.withSchema(SeriesId))

const changed = Effect.fnUntraced(function* (series: SeriesId, change: TaskChange, asJson: boolean) {
  const task = yield* (yield* connectDaemon).changeTask({ params: { id: series }, payload: { change } })
  yield* show(asJson, task, () => [
    `task ${task.id} is ${task.status}${task.note === null ? "" : `: ${task.note}`}, next ${task.status === "active" ? instant(task.nextSlot) : "-"}`,
  ])
})

const taskPause = Command.make(
  "pause",
  {
    id,
    note: Flag.String("note").pipe(Flag.withDescription("Why, for whoever looks at it"), Flag.optional),
    json,
  },
  (input) => changed(input.id, { _tag: "Pause", note: Option.getOrNull(input.note) }, input.json),
).pipe(Command.withDescription("Fire nothing until it is resumed; a claimed occurrence finishes"))

const taskResume = Command.make(
  "resume",
  {
    id,
    catchUp: Flag.Boolean("catch-up").pipe(
      Flag.withDescription(
        "Deal with the slots of the pause by the catch-up policy, instead of recording them only",
      ),
      Flag.withDefault(false),
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
        params: { id: input.id },
        payload: { name: input.name, from, to },
      })
      yield* show(input.json, made, () => [`${made.length} runs of task ${input.id} are queued`])
    }),
).pipe(Command.withDescription("Run the slots of a range, each once, beside the schedule"))

const taskPreview = Command.make(
  "preview",
  { id, count: Flag.Int("count").pipe(Flag.withDefault(10)), json },
  (input) =>
    Effect.gen(function* () {
      const { next } = yield* (yield* connectReading).task({
        params: { id: input.id },
        query: { count: input.count },
      })
      yield* show(input.json, { next: next.map(instant) }, () => next.map(instant))
    }),
).pipe(Command.withDescription("Print the next instants of a task, its bounds considered"))

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
    taskPause,
    taskResume,
    taskCancel,
    taskRun,
    taskBackfill,
    taskPreview,
  ]),
)

export const runsCommand = runs
export const nextCommand = next
