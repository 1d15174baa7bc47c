/** `task`, `runs` and `next`: recurring tasks, what became of them, and when a schedule fires. */
import { Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { GroupId, SeriesId } from "../domain/Ids.ts"
import { nextSlot, parseSchedule, validateZone } from "../domain/Recurrence.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { instant, show, table } from "./Output.ts"
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

const runs = Command.make("runs", { json }, (input) =>
  Effect.gen(function* () {
    const rows = yield* (yield* connectReading).runs({ query: {} })
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
    taskVerb("pause"),
    taskVerb("resume"),
    taskVerb("cancel"),
    taskRun,
  ]),
)

export const runsCommand = runs
export const nextCommand = next
