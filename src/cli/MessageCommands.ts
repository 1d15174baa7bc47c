/** `messages` and `deliveries`: what went in, what came out, and what to do about either. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { DeliveryStatus } from "../domain/Delivery.ts"
import { DeliveryId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { MessageState } from "../domain/Message.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { contentText, fields, instant, show, table } from "./Output.ts"
import { pageFlags, positionFlags } from "./PageFlags.ts"
import { jsonFlag } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(MessageId))
const session = Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional)

const list = Command.make(
  "list",
  {
    session,
    task: Flag.String("task").pipe(Flag.withSchema(SeriesId), Flag.optional),
    state: Flag.Literals("state", MessageState.literals).pipe(Flag.optional),
    ...pageFlags("the id of the last row of the page before"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const messages = yield* (yield* connectReading).messages({
        query: {
          sessionId: Option.getOrUndefined(input.session),
          taskId: Option.getOrUndefined(input.task),
          state: Option.getOrUndefined(input.state),
          limit: Option.getOrUndefined(input.limit),
          after: Option.getOrUndefined(input.after),
        },
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
            instant(row.dueAt),
            row.error ?? "",
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List messages, newest first"))

const showMessage = Command.make("show", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const report = yield* (yield* connectReading).message({ params: { id: input.id } })
    yield* show(input.json, report, () => [
      ...fields(report.message),
      ...report.answers.map((row) => `answer: ${contentText(row.content)}`),
    ])
  }),
).pipe(Command.withDescription("Show one message and what was answered"))

const cancel = Command.make("cancel", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const message = yield* (yield* connectDaemon).cancelMessage({ params: { id: input.id } })
    yield* show(input.json, message, () => [`${message.id} is ${message.state}`])
  }),
).pipe(Command.withDescription("Cancel a message that no agent has claimed"))

const redrive = Command.make("redrive", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const message = yield* (yield* connectDaemon).redriveMessage({ params: { id: input.id } })
    yield* show(input.json, message, () => [`${message.id} repeats ${input.id} and is ${message.state}`])
  }),
).pipe(Command.withDescription("Send an ended message again, as a new one that names the old"))

export const messagesCommand = Command.make("messages").pipe(
  Command.withDescription("Messages"),
  Command.withSubcommands([list, showMessage, cancel, redrive]),
)

const listDeliveries = Command.make(
  "list",
  {
    session,
    status: Flag.Literals("status", DeliveryStatus.literals).pipe(Flag.optional),
    ...positionFlags("the position of the last row of the page before"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const rows = yield* (yield* connectReading).deliveries({
        query: {
          sessionId: Option.getOrUndefined(input.session),
          status: Option.getOrUndefined(input.status),
          limit: Option.getOrUndefined(input.limit),
          after: Option.getOrUndefined(input.after),
        },
      })
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
      const row = yield* (yield* connectDaemon).redriveDelivery({ payload: { id: input.id } })
      yield* show(input.json, row, () => [`delivery ${row.id} is ${row.status}`])
    }),
).pipe(Command.withDescription("Try a dead delivery again"))

export const deliveriesCommand = Command.make("deliveries").pipe(
  Command.withDescription("Deliveries"),
  Command.withSubcommands([listDeliveries, redriveDelivery]),
)
