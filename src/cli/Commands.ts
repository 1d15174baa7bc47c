/** The commands that talk to a running daemon. Each prints JSON with `--json`, and lines for people without. */
import { Console, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { nextSlot, parseSchedule, validateZone } from "../domain/Recurrence.ts"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { locate } from "../layers/Configuration.ts"
import { client } from "../layers/http/SocketClient.ts"
import { socketPath, up } from "./Up.ts"
import * as fs from "node:fs"
import { isTerminal } from "../domain/Message.ts"
import { Result } from "effect"

/** A command can't go on; the message says what would help. */
export class CommandError extends Schema.TaggedError<CommandError>()("CommandError", {
  message: Schema.String,
}) {}

const dataFlag = Flag.String("data").pipe(
  Flag.withDescription("The data directory; the default is LAMPLIGHTER_DATA, then ~/.lamplighter"),
  Flag.optional,
)
const json = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))

export const root = Command.make("lamplighter").pipe(
  Command.withSharedFlags({ data: dataFlag }),
  Command.withDescription("Runs AI agents in containers, one per session, on demand"),
)

const connect = Effect.gen(function* () {
  const { data } = yield* root
  const { dataDir } = locate({ env: process.env, dataDir: Option.getOrUndefined(data) })
  const socket = socketPath(dataDir)
  if (!fs.existsSync(socket)) {
    return yield* new CommandError({
      message: `no daemon runs in ${dataDir}; start one with 'lamplighter --data ${dataDir} up'`,
    })
  }
  return yield* client(socket)
})

const show = (asJson: boolean, value: unknown, lines: () => ReadonlyArray<string>) =>
  asJson ? Console.log(JSON.stringify(value, null, 2)) : Effect.forEach(lines(), (line) => Console.log(line))

const instant = (at: number | null): string => (at === null ? "-" : new Date(at).toISOString())

const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
): ReadonlyArray<string> => {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

const upCommand = Command.make("up", {}, () =>
  Effect.gen(function* () {
    const { data } = yield* root
    return yield* up({ dataDir: Option.getOrUndefined(data) })
  }),
).pipe(Command.withDescription("Run the daemon in the foreground"))

const groupAdd = Command.make(
  "add",
  {
    id: Argument.String("id").pipe(Argument.withSchema(GroupId)),
    name: Flag.String("name").pipe(Flag.optional),
    provider: Flag.String("provider").pipe(
      Flag.withDescription("echo, command, or one that the runner has"),
      Flag.withDefault("echo"),
    ),
    command: Flag.String("command").pipe(
      Flag.withDescription("With --provider command: a JSON array, program first"),
      Flag.optional,
    ),
    zone: Flag.String("zone").pipe(Flag.optional),
    policy: Flag.String("policy").pipe(
      Flag.withDescription('Limits of this group as JSON, e.g. {"idleMs":60000}'),
      Flag.withDefault("{}"),
    ),
    json,
  },
  Effect.fn(function* (input) {
    const api = yield* connect
    const parse = (flag: string, text: string) =>
      Effect.try({
        try: () => JSON.parse(text) as never,
        catch: () => new CommandError({ message: `--${flag} is not JSON: ${text}` }),
      })
    const group = yield* api.addGroup({
      payload: {
        id: input.id,
        name: Option.getOrElse(input.name, () => input.id),
        assistantName: Option.getOrElse(input.name, () => input.id),
        provider: {
          name: input.provider,
          command: Option.isSome(input.command) ? yield* parse("command", input.command.value) : null,
          timeoutMs: null,
          model: null,
        },
        zone: Option.getOrNull(input.zone),
        policy: yield* parse("policy", input.policy),
        destinations: [],
        admins: [],
        imageTag: null,
        runnerReoffers: true,
      },
    })
    yield* show(input.json, group, () => [`group ${group.id} is there`])
  }),
).pipe(Command.withDescription("Add an agent group"))

const groupList = Command.make("list", { json }, (input) =>
  Effect.gen(function* () {
    const groups = yield* (yield* connect).groups()
    yield* show(input.json, groups, () =>
      table(
        ["id", "provider", "zone"],
        groups.map((group) => [group.id, group.provider.name, group.zone ?? "-"]),
      ),
    )
  }),
).pipe(Command.withDescription("List agent groups"))

const send = Command.make(
  "send",
  {
    group: Argument.String("group").pipe(Argument.withSchema(GroupId)),
    text: Argument.String("text"),
    id: Flag.String("id").pipe(Flag.withSchema(MessageId), Flag.optional),
    session: Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDescription("Wait for the message's end and print what was answered"),
      Flag.withDefault(false),
    ),
    json,
  },
  Effect.fn(function* (input) {
    const api = yield* connect
    const reply = yield* api.send({
      payload: {
        groupId: input.group,
        kind: "chat",
        content: { text: input.text },
        ...(Option.isSome(input.id) ? { id: input.id.value } : {}),
        ...(Option.isSome(input.session) ? { sessionId: input.session.value } : {}),
      },
    })
    const { message } = reply
    if (message === null)
      return yield* new CommandError({ message: `${reply.outcome}: ${reply.reason ?? ""}` })
    if (!input.wait) {
      return yield* show(input.json, reply, () => [
        `${reply.outcome} ${message.id} in session ${message.sessionId}`,
      ])
    }
    let report = yield* api.message({ params: { id: message.id } })
    while (!isTerminal(report.message.state)) {
      yield* Effect.sleep(100)
      report = yield* api.message({ params: { id: message.id } })
    }
    yield* show(input.json, report, () => report.answers.map((row) => answerText(row.content)))
    if (report.message.state === "failed") {
      return yield* new CommandError({
        message: `message ${message.id} failed: ${report.message.error ?? ""}`,
      })
    }
  }),
).pipe(Command.withDescription("Send a chat message to a group's session"))

const answerText = (content: string): string => {
  const parsed: unknown = JSON.parse(content)
  return typeof parsed === "object" && parsed !== null && "text" in parsed ? String(parsed.text) : content
}

const messagesList = Command.make("list", { json }, (input) =>
  Effect.gen(function* () {
    const messages = yield* (yield* connect).messages({ query: {} })
    yield* show(input.json, messages, () =>
      table(
        ["id", "session", "kind", "state", "tries", "due", "error"],
        messages.map((row) => [
          row.id,
          row.sessionId,
          row.kind,
          row.state,
          String(row.tries),
          instant(row.dueAt),
          row.error ?? "",
        ]),
      ),
    )
  }),
).pipe(Command.withDescription("List messages, newest first"))

const messageVerb = (verb: "cancel" | "redrive") =>
  Command.make(verb, { id: Argument.String("id").pipe(Argument.withSchema(MessageId)), json }, (input) =>
    Effect.gen(function* () {
      const api = yield* connect
      const call = verb === "cancel" ? api.cancelMessage : api.redriveMessage
      const message = yield* call({ params: { id: input.id } })
      yield* show(input.json, message, () => [`${message.id} is ${message.state}`])
    }),
  )

const messageShow = Command.make(
  "show",
  { id: Argument.String("id").pipe(Argument.withSchema(MessageId)), json },
  (input) =>
    Effect.gen(function* () {
      const report = yield* (yield* connect).message({ params: { id: input.id } })
      yield* show(input.json, report, () => [
        ...Object.entries(report.message).map(([name, value]) => `${name}: ${String(value)}`),
        ...report.answers.map((row) => `answer: ${answerText(row.content)}`),
      ])
    }),
)

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
    const api = yield* connect
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
    const tasks = yield* (yield* connect).tasks()
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
      const api = yield* connect
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
      const message = yield* (yield* connect).runTask({ params: { id: input.id } })
      yield* show(input.json, message, () => [`run ${message.id}`])
    }),
)

const runs = Command.make("runs", { json }, (input) =>
  Effect.gen(function* () {
    const rows = yield* (yield* connect).runs({ query: {} })
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

const events = Command.make("events", { after: Flag.Int("after").pipe(Flag.withDefault(0)), json }, (input) =>
  Effect.gen(function* () {
    const rows = yield* (yield* connect).events({ query: { after: input.after } })
    yield* show(input.json, rows, () =>
      table(
        ["at", "event", "message", "what"],
        rows.map((row) => [instant(row.at), row.type, row.messageId ?? "-", row.text]),
      ),
    )
  }),
).pipe(Command.withDescription("Print the timeline: what happened, in order"))

const deliveries = Command.make("list", { json }, (input) =>
  Effect.gen(function* () {
    const rows = yield* (yield* connect).deliveries()
    yield* show(input.json, rows, () =>
      table(
        ["id", "channel", "status", "attempts", "error"],
        rows.map((row) => [
          row.id,
          row.channelType ?? "-",
          row.status,
          String(row.attempts),
          row.lastError ?? "",
        ]),
      ),
    )
  }),
)

const sessionList = Command.make("list", { json }, (input) =>
  Effect.gen(function* () {
    const rows = yield* (yield* connect).sessions()
    yield* show(input.json, rows, () =>
      table(
        ["id", "group", "status", "live", "queued", "reason"],
        rows.map((row) => [
          row.id,
          row.groupId,
          row.status,
          row.live ? `incarnation ${row.incarnation}` : "-",
          String(row.queued),
          row.statusReason ?? row.wakeError ?? "",
        ]),
      ),
    )
  }),
)

const sessionVerb = (verb: "stop" | "hold" | "wake" | "release") =>
  Command.make(verb, { id: Argument.String("id").pipe(Argument.withSchema(SessionId)), json }, (input) =>
    Effect.gen(function* () {
      const session = yield* (yield* connect).controlSession({
        params: { id: input.id },
        payload: { what: verb },
      })
      yield* show(input.json, session, () => [`session ${session.id} is ${session.status}`])
    }),
  )

const status = Command.make("status", { json }, (input) =>
  Effect.gen(function* () {
    const state = yield* (yield* connect).status()
    yield* show(input.json, state, () => [
      `runtime ${state.runtime}, ${state.live.length} containers, next wake ${instant(state.nextWakeAt)}, next slot ${instant(state.nextSlotAt)}`,
      ...state.live.map((row) => `  ${row.sessionId} incarnation ${row.incarnation} ${row.phase}`),
      ...state.quarantined.map((row) => `  quarantined: ${row.id}: ${row.statusReason ?? ""}`),
    ])
  }),
).pipe(Command.withDescription("Show what runs and what waits"))

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

const orCommandError = <A>(result: Result.Result<A, { readonly message: string }>) =>
  Result.isSuccess(result)
    ? Effect.succeed(result.success)
    : Effect.fail(new CommandError({ message: result.failure.message }))

export const cli = root.pipe(
  Command.withSubcommands([
    upCommand,
    Command.make("group").pipe(
      Command.withDescription("Agent groups"),
      Command.withSubcommands([groupAdd, groupList]),
    ),
    Command.make("session").pipe(
      Command.withDescription("Sessions"),
      Command.withSubcommands([
        sessionList,
        sessionVerb("stop"),
        sessionVerb("hold"),
        sessionVerb("wake"),
        sessionVerb("release"),
      ]),
    ),
    send,
    Command.make("messages").pipe(
      Command.withDescription("Messages"),
      Command.withSubcommands([messagesList, messageShow, messageVerb("cancel"), messageVerb("redrive")]),
    ),
    Command.make("task").pipe(
      Command.withDescription("Recurring tasks"),
      Command.withSubcommands([
        taskAdd,
        taskList,
        taskVerb("pause"),
        taskVerb("resume"),
        taskVerb("cancel"),
        taskRun,
      ]),
    ),
    runs,
    events,
    Command.make("deliveries").pipe(
      Command.withDescription("Deliveries"),
      Command.withSubcommands([deliveries]),
    ),
    status,
    next,
  ]),
)
