/** `send`: a message in, and with `--wait` what the agent answers. It never waits for ever, and says why it waits. */
import { Clock, Console, Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as fs from "node:fs"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { GroupId, MessageId, SessionId } from "../domain/Ids.ts"
import { isTerminal, MessageKind, PRIORITIES } from "../domain/Message.ts"
import { SessionMode } from "../domain/Session.ts"
import { parseDuration } from "../layers/configuration/QuantityText.ts"
import type { MessageReport } from "../services/operations/Requests.ts"
import { connectDaemon } from "./Connection.ts"
import { contentText, show } from "./Output.ts"
import { CommandError, jsonFlag } from "./Root.ts"

const LOOK_EVERY_MS = 100
/** The rows of a container's last look arrive within its poll interval. */
const LAST_LOOK_MS = 1_000
/** Of content from stdin; the daemon's own limit is lower. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024

const input = {
  group: Argument.String("group").pipe(
    Argument.withSchema(GroupId),
    Argument.withDescription("The group whose session gets it; with --session any group may stand here"),
  ),
  text: Argument.String("text").pipe(
    Argument.withDescription(
      "What to say; - reads it from stdin. With another --kind than chat: JSON content",
    ),
  ),
  id: Flag.String("id").pipe(
    Flag.withSchema(MessageId),
    Flag.withDescription("Your id: sending the same again under it changes nothing"),
    Flag.optional,
  ),
  session: Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional),
  mode: Flag.Literals("mode", SessionMode.literals).pipe(
    Flag.withDescription("Which session of the group: one per chat, per thread, or per group"),
    Flag.optional,
  ),
  channel: Flag.String("channel").pipe(
    Flag.withDescription("Where it comes from and answers go"),
    Flag.optional,
  ),
  platform: Flag.String("platform").pipe(Flag.withDescription("The chat on that channel"), Flag.optional),
  thread: Flag.String("thread").pipe(Flag.optional),
  user: Flag.String("user").pipe(Flag.withDescription("Who says it, for slash commands"), Flag.optional),
  kind: Flag.Literals("kind", MessageKind.literals).pipe(Flag.withDefault("chat" as const)),
  at: Flag.String("at").pipe(
    Flag.withDescription("When it is due, e.g. 2026-12-01T09:00:00Z"),
    Flag.optional,
  ),
  ttl: Flag.String("ttl").pipe(
    Flag.withDescription("Expires if unclaimed for this long, e.g. 10m"),
    Flag.optional,
  ),
  priority: Flag.Literals("priority", ["low", "normal", "high"]).pipe(Flag.withDefault("normal" as const)),
  context: Flag.Boolean("context").pipe(
    Flag.withDescription("Let it ride along with the next message instead of waking an agent"),
    Flag.withDefault(false),
  ),
  onWake: Flag.Boolean("on-wake").pipe(
    Flag.withDescription("Show it only to a container that starts"),
    Flag.withDefault(false),
  ),
  wait: Flag.Boolean("wait").pipe(
    Flag.withDescription("Wait for the message's end and print what was answered"),
    Flag.withDefault(false),
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withDescription("With --wait: at most this long, e.g. 90s"),
    Flag.withDefault("10m"),
  ),
  json: jsonFlag,
}

const durationOf = (flag: string, text: string): Effect.Effect<number, CommandError> => {
  const ms = parseDuration(text)
  return ms === undefined || ms <= 0
    ? Effect.fail(
        new CommandError({ message: `--${flag} ${text} is not a length of time; write it as 90s or 10m` }),
      )
    : Effect.succeed(ms)
}

const instantOf = (text: string): Effect.Effect<number, CommandError> => {
  const parsed = parseExchangeTime(text)
  return Result.isSuccess(parsed)
    ? Effect.succeed(parsed.success.at)
    : Effect.fail(
        new CommandError({ message: `--at ${text} is not an instant; write it as 2026-12-01T09:00:00Z` }),
      )
}

const readInput = (text: string): Effect.Effect<string, CommandError> =>
  text !== "-"
    ? Effect.succeed(text)
    : Effect.flatMap(
        Effect.sync(() => fs.readFileSync(0)),
        (bytes) =>
          bytes.length > MAX_INPUT_BYTES
            ? Effect.fail(
                new CommandError({
                  message: `stdin holds ${bytes.length} bytes; the limit is ${MAX_INPUT_BYTES}`,
                }),
              )
            : Effect.succeed(bytes.toString("utf8")),
      )

const contentOf = (kind: MessageKind, text: string): Effect.Effect<unknown, CommandError> =>
  kind === "chat"
    ? Effect.succeed({ text })
    : Effect.try({
        try: (): unknown => JSON.parse(text),
        catch: (error) =>
          new CommandError({
            message: `the content of a ${kind} message is JSON, and this is not (${String(error)}): ${text.slice(0, 200)}`,
          }),
      })

export const sendCommand = Command.make("send", input, (given) =>
  Effect.gen(function* () {
    const content = yield* contentOf(given.kind, yield* readInput(given.text))
    const timeoutMs = yield* durationOf("timeout", given.timeout)
    const ttlMs = Option.isSome(given.ttl) ? yield* durationOf("ttl", given.ttl.value) : undefined
    const dueAt = Option.isSome(given.at) ? yield* instantOf(given.at.value) : undefined
    const api = yield* connectDaemon
    const said = <A>(field: string, option: Option.Option<A>) =>
      Option.isSome(option) ? { [field]: option.value } : {}
    const reply = yield* api.send({
      payload: {
        groupId: given.group,
        kind: given.kind,
        content,
        ...said("id", given.id),
        ...said("sessionId", given.session),
        ...said("mode", given.mode),
        ...said("channelType", given.channel),
        ...said("platformId", given.platform),
        ...said("threadId", given.thread),
        ...said("userId", given.user),
        priority: PRIORITIES[given.priority],
        trigger: !given.context,
        onWake: given.onWake,
        ...(dueAt === undefined ? {} : { dueAt }),
        ...(ttlMs === undefined ? {} : { ttlMs }),
      },
    })
    const { message } = reply
    if (message === null) {
      return yield* new CommandError({ message: `${reply.outcome}: ${reply.reason ?? "no reason given"}` })
    }
    if (!given.wait) {
      return yield* show(given.json, reply, () => [
        `${reply.outcome} ${message.id} in session ${message.sessionId}`,
      ])
    }
    const report = yield* ended((id) => api.message({ params: { id } }), message.id, timeoutMs)
    yield* show(given.json, report, () => report.answers.map((row) => contentText(row.content)))
    if (report.message.state !== "completed") {
      return yield* new CommandError({
        message: `message ${message.id} is ${report.message.state}: ${report.message.error ?? "no reason given"}`,
      })
    }
  }),
).pipe(Command.withDescription("Send a message to a group's session"))

/** Looks until the message has ended, and once more after that. What keeps it from starting is told as it happens. */
const ended = Effect.fnUntraced(function* <E, R>(
  look: (id: MessageId) => Effect.Effect<MessageReport, E, R>,
  id: MessageId,
  timeoutMs: number,
) {
  const deadline = (yield* Clock.currentTimeMillis) + timeoutMs
  let told: string | null = null
  while (true) {
    const report = yield* look(id)
    if (isTerminal(report.message.state)) {
      yield* Effect.sleep(LAST_LOOK_MS)
      return yield* look(id)
    }
    if (report.wakeError !== null && report.wakeError !== told) {
      told = report.wakeError
      yield* Console.error(`still waiting: its session can't start a container: ${told}`)
    }
    if ((yield* Clock.currentTimeMillis) >= deadline) {
      return yield* new CommandError({
        message: `message ${id} is still ${report.message.state} after ${timeoutMs} ms${told === null ? "" : ` (${told})`}; it stays queued: 'lamplighter messages show ${id}' tells how it goes on`,
      })
    }
    yield* Effect.sleep(LOOK_EVERY_MS)
  }
})
