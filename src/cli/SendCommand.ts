/** `send`: a message in, and with `--wait` what the agent answers. */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, MessageId, SessionId } from "../domain/Ids.ts"
import { MessageKind, PRIORITIES } from "../domain/Message.ts"
import { SessionMode } from "../domain/Session.ts"
import { readableText, visible } from "../layers/channels/DeliveryContent.ts"
import type { MessageReport } from "../services/operations/Requests.ts"
import { waitForEnd } from "./AnswerWait.ts"
import { connectDaemon } from "./Connection.ts"
import { hints } from "./Invocation.ts"
import { escaped, print, show } from "./Output.ts"
import { CommandError, jsonFlag, wrongWords } from "./Root.ts"
import { sendBatch } from "./SendBatch.ts"
import { contentOf, readInput, readWords } from "./SendContent.ts"
import { durationOf, instantOf } from "./TimeFlags.ts"

const input = {
  words: Argument.String("words").pipe(
    Argument.between(0, 2),
    Argument.withDescription(
      "GROUP TEXT, or TEXT with --group or --session; the text - is read from stdin. With another --kind than chat: JSON content",
    ),
  ),
  group: Flag.String("group").pipe(
    Flag.withSchema(GroupId),
    Flag.withDescription("The group whose session gets it"),
    Flag.optional,
  ),
  session: Flag.String("session").pipe(
    Flag.withSchema(SessionId),
    Flag.withDescription("The session that gets it"),
    Flag.optional,
  ),
  mode: Flag.Literals("mode", SessionMode.literals).pipe(
    Flag.withDescription("Which session of the group: one per chat (shared), per thread, or per group"),
    Flag.optional,
  ),
  id: Flag.String("id").pipe(
    Flag.withSchema(MessageId),
    Flag.withDescription("Your id: sending the same again under it changes nothing"),
    Flag.optional,
  ),
  channel: Flag.String("channel").pipe(
    Flag.withDescription("Where it comes from and answers go: a configured channel; stdout if not said"),
    Flag.optional,
  ),
  platform: Flag.String("platform").pipe(Flag.withDescription("The chat on that channel"), Flag.optional),
  thread: Flag.String("thread").pipe(Flag.withDescription("The thread in that chat"), Flag.optional),
  user: Flag.String("user").pipe(Flag.withDescription("Who says it, for slash commands"), Flag.optional),
  kind: Flag.Literals("kind", MessageKind.literals).pipe(
    Flag.withDescription("chat if not said"),
    Flag.withDefault("chat" as const),
  ),
  at: Flag.String("at").pipe(
    Flag.withDescription("When it is due, e.g. 2026-12-01T09:00:00Z"),
    Flag.optional,
  ),
  ttl: Flag.String("ttl").pipe(
    Flag.withDescription("Expires if unclaimed for this long after it is due, e.g. 10m"),
    Flag.optional,
  ),
  priority: Flag.Literals("priority", ["low", "normal", "high"]).pipe(
    Flag.withDescription("normal if not said"),
    Flag.withDefault("normal" as const),
  ),
  context: Flag.Boolean("context").pipe(
    Flag.withDescription("Let it ride along with the next message instead of waking an agent"),
    Flag.withDefault(false),
  ),
  onWake: Flag.Boolean("on-wake").pipe(
    Flag.withDescription("Show it only to a container that starts"),
    Flag.withDefault(false),
  ),
  batch: Flag.Boolean("batch").pipe(
    Flag.withDescription(
      'Send a message for each line of stdin, as JSON, e.g. {"groupId":"g1","text":"hello"}; one result a line',
    ),
    Flag.withDefault(false),
  ),
  wait: Flag.Boolean("wait").pipe(
    Flag.withDescription("Wait for the message's end and print what is answered"),
    Flag.withDefault(false),
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withDescription("With --wait: at most this long, e.g. 90s"),
    Flag.withDefault("10m"),
  ),
  json: jsonFlag,
}

type Given = Command.Command.Config.Infer<typeof input>

/** What the flags say of a message; in a batch, of every line that does not say it itself. */
const saidOf = Effect.fnUntraced(function* (given: Given) {
  const said = <A>(field: string, option: Option.Option<A>) =>
    Option.isSome(option) ? { [field]: option.value } : {}
  return {
    kind: given.kind,
    ...said("groupId", given.group),
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
    ...(Option.isSome(given.at) ? { dueAt: yield* instantOf("at", given.at.value) } : {}),
    ...(Option.isSome(given.ttl) ? { ttlMs: yield* durationOf("ttl", given.ttl.value) } : {}),
  }
})

export const sendCommand = Command.make("send", input, (given) =>
  Effect.gen(function* () {
    if (given.batch) {
      if (given.words.length > 0 || given.wait || Option.isSome(given.id)) {
        return yield* wrongWords(
          "send",
          "--batch takes its messages from stdin; leave out words, --wait and --id",
        )
      }
      return yield* sendBatch(yield* connectDaemon, yield* saidOf(given))
    }
    const { group, text } = yield* readWords(given)
    if (given.wait && given.context) {
      return yield* wrongWords(
        "send",
        "--wait with --context would wait for the next message that somebody sends; leave one out",
      )
    }
    const timeoutMs = yield* durationOf("timeout", given.timeout)
    const said = yield* saidOf({ ...given, group })
    const content = yield* contentOf(given.kind, yield* readInput(text))
    const api = yield* connectDaemon
    const reply = yield* api.send({ ...said, content })
    const { message } = reply
    if (message === null) {
      return yield* new CommandError({ message: `${reply.outcome}: ${reply.reason ?? "no reason given"}` })
    }
    if (!given.wait) {
      return yield* show(given.json, reply, () => [
        `${reply.outcome} ${message.id} in session ${message.sessionId}`,
      ])
    }
    const report = yield* printAnswers(api.message({ id: message.id }), message.id, timeoutMs, given.json)
    if (report.message.state !== "completed") {
      return yield* new CommandError({
        message: `message ${message.id} is ${report.message.state}: ${report.message.error ?? "no reason given"}`,
      })
    }
  }),
)

/** Prints the answers as they come; as JSON, the report of the end. */
const printAnswers = Effect.fnUntraced(function* <E, R>(
  look: Effect.Effect<MessageReport, E, R>,
  id: MessageId,
  timeoutMs: number,
  asJson: boolean,
) {
  const printed = new Set<string>()
  const report = yield* waitForEnd({
    id,
    timeoutMs,
    look,
    looked: ({ answers }) =>
      Effect.forEach(
        asJson ? [] : visible(answers).filter((row) => !printed.has(row.id)),
        (row) => {
          printed.add(row.id)
          return print(readableText(row))
        },
        { discard: true },
      ),
    waiting: (why) => Effect.flatMap(hints, (say) => Console.error(escaped(say(`still waiting: ${why}`)))),
  })
  if (asJson) yield* show(true, report, () => [])
  else if (report.answeredWith.length > 0) {
    yield* Console.error(`answered together with ${report.answeredWith.join(", ")}`)
  }
  return report
})
