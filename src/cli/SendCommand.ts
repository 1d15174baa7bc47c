/** `send`: a message in, and with `--wait` what the agent answers. */
import { choice, formed, text, whether, given as said } from "./Flags.ts"
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
import { durationOf, instantOf } from "./FlagTexts.ts"

const input = {
  words: Argument.String("words").pipe(
    Argument.between(0, 2),
    Argument.withDescription(
      "GROUP TEXT, or TEXT with --group or --session; the text - is read from stdin. With another --kind than chat: JSON content",
    ),
  ),
  group: formed("group", GroupId, "The group whose session gets it"),
  session: formed("session", SessionId, "The session that gets it"),
  mode: choice(
    "mode",
    SessionMode.literals,
    "Which session of the group: one per chat (shared), per thread, or per group",
  ),
  id: formed("id", MessageId, "Your id: sending the same again under it changes nothing"),
  channel: text("channel", "Where it comes from and answers go: a configured channel; stdout if not said"),
  platform: text("platform", "The chat on that channel"),
  thread: text("thread", "The thread in that chat"),
  user: text("user", "Who says it, for slash commands"),
  kind: Flag.Literals("kind", MessageKind.literals).pipe(
    Flag.withDescription("chat if not said"),
    Flag.withDefault("chat" as const),
  ),
  at: text("at", "When it is due, e.g. 2026-12-01T09:00:00Z"),
  ttl: text("ttl", "Expires if unclaimed for this long after it is due, e.g. 10m"),
  priority: Flag.Literals("priority", ["low", "normal", "high"]).pipe(
    Flag.withDescription("normal if not said"),
    Flag.withDefault("normal" as const),
  ),
  context: whether("context", "Let it ride along with the next message instead of waking an agent"),
  onWake: whether("on-wake", "Show it only to a container that starts"),
  batch: whether(
    "batch",
    'Send a message for each line of stdin, as JSON, e.g. {"text":"hello"} to the group that is named, or {"groupId":"g1","text":"hello"}; one result a line',
  ),
  wait: whether("wait", "Wait for the message's end and print what is answered"),
  timeout: Flag.String("timeout").pipe(
    Flag.withDescription("With --wait: at most this long, e.g. 90s"),
    Flag.withDefault("10m"),
  ),
  json: jsonFlag,
}

type Given = Command.Command.Config.Infer<typeof input>

/** What the flags say of a message; in a batch, of every line that does not say it itself. */
const saidOf = Effect.fnUntraced(function* (given: Given) {
  return {
    kind: given.kind,
    ...said({ id: given.id, groupId: given.group, sessionId: given.session, mode: given.mode }),
    ...said({ channelType: given.channel, platformId: given.platform }),
    ...said({ threadId: given.thread, userId: given.user }),
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
      const [word, ...more] = given.words
      if (more.length > 0 || given.wait || Option.isSome(given.id)) {
        return yield* wrongWords(
          "send",
          "--batch takes its messages from stdin; leave out their words, --wait and --id",
        )
      }
      const { group } = word === undefined ? given : yield* readWords({ ...given, words: [word, "-"] })
      return yield* sendBatch(yield* connectDaemon, yield* saidOf({ ...given, group }))
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
    looked: (seen) =>
      Effect.forEach(
        asJson ? [] : visible(seen).filter((row) => !printed.has(row.id)),
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
