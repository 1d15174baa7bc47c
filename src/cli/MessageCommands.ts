/** `messages` and `deliveries`: what went in, what came out, and what to do about either. */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { DeliveryStatus } from "../domain/Delivery.ts"
import { DeliveryId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { MessageKind, MessageState, type ShownMessage } from "../domain/Message.ts"
import { DEFAULT_PAGE, MAX_PAGE } from "../services/operations/Requests.ts"
import { readableText, visible } from "../layers/channels/DeliveryContent.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { fields, instant, show, table } from "./Output.ts"
import { choice, formed, whether, given } from "./Flags.ts"
import { pageFlags, positionFlags } from "./PageFlags.ts"
import { jsonFlag } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(MessageId))
const session = formed("session", SessionId, "Only this session's")

const list = Command.make(
  "list",
  {
    session,
    task: formed("task", SeriesId, "Only this task's"),
    state: choice("state", MessageState.literals, "Only those in this state"),
    kind: choice("kind", MessageKind.literals, "Only those of this kind"),
    ...pageFlags("the id of the last row of the page before"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const api = yield* connectReading
      const query = given({ sessionId: input.session, taskId: input.task, state: input.state })
      const limit = Option.getOrElse(input.limit, () => DEFAULT_PAGE)
      const messages = yield* ofKind({
        kind: Option.getOrUndefined(input.kind),
        limit,
        after: Option.getOrUndefined(input.after),
        page: (page) => api.messages({ ...query, ...page }),
      })
      yield* show(input.json, messages, () =>
        table(
          ["id", "session", "kind", "state", "tries", "due", "error"],
          messages.map((row) => [
            row.id,
            row.sessionId,
            row.kind,
            row.state,
            String(row.tries),
            row.dueAt === null ? "waits for the run before it" : instant(row.dueAt),
            row.error ?? "",
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List messages, newest first"))

/** The ledger has no index of kinds: the pages are read one by one, so that none of them holds the daemon up. */
const ofKind = Effect.fnUntraced(function* <E, R>(wanted: {
  readonly kind: MessageKind | undefined
  readonly limit: number
  readonly after: string | undefined
  readonly page: (page: {
    readonly limit: number
    readonly after: string | undefined
  }) => Effect.Effect<ReadonlyArray<ShownMessage>, E, R>
}) {
  const { kind, limit } = wanted
  if (kind === undefined) return yield* wanted.page({ limit, after: wanted.after })
  const found: Array<ShownMessage> = []
  let after = wanted.after
  while (found.length < limit) {
    const rows = yield* wanted.page({ limit: MAX_PAGE, after })
    found.push(...rows.filter((row) => row.kind === kind))
    after = rows.at(-1)?.id
    if (rows.length < MAX_PAGE) break
  }
  return found.slice(0, limit)
})

const showMessage = Command.make("show", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const report = yield* (yield* connectReading).message({ id: input.id })
    yield* show(input.json, report, () => [
      ...fields(report.message),
      `session: ${report.sessionStatus}${report.statusReason === null ? "" : ` (${report.statusReason})`}`,
      ...(report.wakeError === null ? [] : [`can't start: ${report.wakeError}`]),
      ...(report.answeredWith.length === 0
        ? []
        : [`answered together with: ${report.answeredWith.join(", ")}`]),
      ...visible(report.answers).map((row) => `answer: ${readableText(row)}`),
    ])
  }),
).pipe(Command.withDescription("Show one message and what was answered"))

const cancel = Command.make(
  "cancel",
  {
    id,
    running: whether("running", "Also one that an agent works on: its container is stopped for it"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const message = yield* (yield* connectDaemon).cancelMessage({
        id: input.id,
        which: input.running ? "running" : "waiting",
      })
      yield* show(input.json, message, () => [`${message.id} is ${message.state}`])
    }),
).pipe(Command.withDescription("Cancel a message that no agent has claimed, or a running one"))

const redrive = Command.make("redrive", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const message = yield* (yield* connectDaemon).redriveMessage({ id: input.id })
    yield* show(input.json, message, () => [`${message.id} repeats ${input.id} and is ${message.state}`])
  }),
).pipe(Command.withDescription("Send an ended message again, as a new one that names the old"))

export const messagesCommand = Command.make("messages").pipe(
  Command.withSubcommands([list, showMessage, cancel, redrive]),
)

const listDeliveries = Command.make(
  "list",
  {
    session,
    status: choice("status", DeliveryStatus.literals, "Only those in this state"),
    ...positionFlags("the position of the last row of the page before"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const rows = yield* (yield* connectReading).deliveries(
        given({ sessionId: input.session, status: input.status, limit: input.limit, after: input.after }),
      )
      yield* show(input.json, rows, () =>
        table(
          ["position", "id", "channel", "status", "attempts", "next", "error"],
          rows.map((row) => [
            String(row.position),
            row.id,
            row.channelType ?? "-",
            row.status,
            String(row.attempts),
            instant(row.nextAttemptAt),
            row.lastError ?? "",
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List deliveries, newest first"))

const redriveDelivery = Command.make(
  "redrive",
  { id: Argument.String("id").pipe(Argument.withSchema(DeliveryId)), json: jsonFlag },
  (input) =>
    Effect.gen(function* () {
      const row = yield* (yield* connectDaemon).redriveDelivery({ id: input.id })
      yield* show(input.json, row, () => [`delivery ${row.id} is ${row.status}`])
    }),
).pipe(Command.withDescription("Try a dead delivery again"))

export const deliveriesCommand = Command.make("deliveries").pipe(
  Command.withSubcommands([listDeliveries, redriveDelivery]),
)
