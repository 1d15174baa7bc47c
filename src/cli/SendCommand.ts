/** `send`: a message in, and with `--wait` what the agent answers. */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { GroupId, MessageId, SessionId } from "../domain/Ids.ts"
import { MessageKind, PRIORITIES } from "../domain/Message.ts"
import { SessionMode } from "../domain/Session.ts"
import { readableText, visible } from "../layers/channels/DeliveryContent.ts"
import type { MessageReport, SendRequest } from "../services/operations/Requests.ts"
import { waitForEnd } from "./AnswerWait.ts"
import { connectDaemon } from "./Connection.ts"
import { choice, choiceOr, formed, given as saidBy, type Said, text, textOr, whether } from "./Flags.ts"
import { durationOf, instantOf } from "./FlagTexts.ts"
import { hints } from "./Invocation.ts"
import { escaped, print, show } from "./Output.ts"
import { jsonFlag, refusal, wrongWords } from "./Root.ts"
import { sendBatch } from "./SendBatch.ts"
import { contentOf, readInput, readWords } from "./SendContent.ts"

/** What a message is; in a batch, every one whose line does not say it itself. */
const message = {
  groupId: formed("group", GroupId, "The group whose session gets it"),
  sessionId: formed("session", SessionId, "The session that gets it"),
  mode: choice(
    "mode",
    SessionMode.literals,
    "Which session of the group: one per chat (shared), per thread, or per group",
  ),
  id: formed("id", MessageId, "Your id: sending the same again under it changes nothing"),
  channelType: text(
    "channel",
    "Where it comes from and answers go: a configured channel; stdout if not said",
  ),
  platformId: text("platform", "The chat on that channel"),
  threadId: text("thread", "The thread in that chat"),
  userId: text("user", "Who says it, for slash commands"),
  kind: choiceOr("kind", MessageKind.literals, "chat", "chat if not said"),
  priority: Flag.map(
    choiceOr("priority", ["low", "normal", "high"], "normal", "normal if not said"),
    (priority) => PRIORITIES[priority],
  ),
  onWake: whether("on-wake", "Show it only to a container that starts"),
}

const input = {
  words: Argument.String("words").pipe(
    Argument.between(0, 2),
    Argument.withDescription(
      "GROUP TEXT, or TEXT with --group or --session; the text - is read from stdin. With another --kind than chat: JSON content",
    ),
  ),
  message,
  at: text("at", "When it is due, e.g. 2026-12-01T09:00:00Z"),
  ttl: text("ttl", "Expires if unclaimed for this long after it is due, e.g. 10m"),
  context: whether("context", "Let it ride along with the next message instead of waking an agent"),
  batch: whether(
    "batch",
    'Send a message for each line of stdin, as JSON, e.g. {"text":"hello"} to the group that is named, or {"groupId":"g1","text":"hello"}; one result a line',
  ),
  wait: whether("wait", "Wait for the message's end and print what is answered"),
  timeout: textOr("timeout", "10m", "With --wait: at most this long, e.g. 90s"),
  json: jsonFlag,
}

/** The message of these flags, to this group. */
const saidOf = Effect.fnUntraced(function* (
  said: Said<typeof input>,
  group: Partial<Pick<SendRequest, "groupId">>,
) {
  return {
    ...said.message,
    ...group,
    trigger: !said.context,
    ...(said.at === undefined ? {} : { dueAt: yield* instantOf("at", said.at) }),
    ...(said.ttl === undefined ? {} : { ttlMs: yield* durationOf("ttl", said.ttl) }),
  }
})

const sendLines = Effect.fnUntraced(function* (said: Said<typeof input>) {
  const [word, ...more] = said.words
  if (more.length > 0 || said.wait || said.message.id !== undefined)
    return yield* wrongWords(
      "send",
      "--batch takes its messages from stdin; leave out their words, --wait and --id",
    )
  const { group } = word === undefined ? { group: {} } : yield* readWords([word, "-"], said.message)
  return yield* sendBatch(yield* connectDaemon, yield* saidOf(said, group))
})

export const sendCommand = Command.make(
  "send",
  input,
  Effect.fnUntraced(function* (given) {
    const said = saidBy(given)
    if (said.batch) return yield* sendLines(said)
    const { group, text } = yield* readWords(said.words, said.message)
    if (said.wait && said.context)
      return yield* wrongWords(
        "send",
        "--wait with --context would wait for the next message that somebody sends; leave one out",
      )
    const timeoutMs = yield* durationOf("timeout", said.timeout)
    const request = yield* saidOf(said, group)
    const content = yield* contentOf(request.kind, yield* readInput(text))
    const api = yield* connectDaemon
    const reply = yield* api.send({ ...request, content })
    if (reply.message === null)
      return yield* refusal(`${reply.outcome}: ${reply.reason ?? "no reason given"}`)
    const { id, sessionId } = reply.message
    if (!said.wait)
      return yield* show(said.json, reply, () => [`${reply.outcome} ${id} in session ${sessionId}`])
    const { message } = yield* printAnswers(api.message({ id }), id, timeoutMs, said.json)
    if (message.state !== "completed")
      return yield* refusal(`message ${id} is ${message.state}: ${message.error ?? "no reason given"}`)
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
  const say = yield* hints
  const report = yield* waitForEnd({
    id,
    timeoutMs,
    look,
    looked: (seen) => {
      const news = asJson ? [] : visible(seen).filter((row) => !printed.has(row.id))
      for (const { id: row } of news) printed.add(row)
      return Effect.forEach(news, (row) => print(readableText(row)), { discard: true })
    },
    waiting: (why) => Console.error(escaped(say(`still waiting: ${why}`))),
  })
  if (asJson) yield* show(true, report, () => [])
  else if (report.answeredWith.length > 0)
    yield* Console.error(`answered together with ${report.answeredWith.join(", ")}`)
  return report
})
