/** `messages` and `deliveries`: what went in, what came out, and what to do about either. */
import { Effect } from "effect"
import { Argument } from "effect/cli"
import { DeliveryStatus } from "../domain/Delivery.ts"
import { DeliveryId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { MessageKind, MessageState, type ShownMessage } from "../domain/Message.ts"
import { readableText, visible } from "../layers/channels/DeliveryContent.ts"
import type { InputOf } from "../services/operations/Contract.ts"
import { DEFAULT_PAGE, MAX_PAGE } from "../services/operations/Requests.ts"
import { changing, pageFlags, positionFlags, reading } from "./Asking.ts"
import { choice, formed, whether } from "./Flags.ts"
import { fields, instant, table } from "./Output.ts"
import { family } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(MessageId))
const session = formed("session", SessionId, "Only this session's")

const list = reading(
  (api) => (said) => ofKind(said, api.messages),
  "list",
  "List messages, newest first",
  {
    sessionId: session,
    taskId: formed("task", SeriesId, "Only this task's"),
    state: choice("state", MessageState.literals, "Only those in this state"),
    kind: choice("kind", MessageKind.literals, "Only those of this kind"),
    ...pageFlags,
  },
  (messages) =>
    table(messages, {
      id: (row) => row.id,
      session: (row) => row.sessionId,
      kind: (row) => row.kind,
      state: (row) => row.state,
      tries: (row) => String(row.tries),
      due: (row) => (row.dueAt === null ? "waits for the run before it" : instant(row.dueAt)),
      error: (row) => row.error ?? "",
    }),
)

/** The ledger has no index of kinds: the pages are read one by one, so that none of them holds the daemon up. */
const ofKind = Effect.fnUntraced(function* <E>(
  { kind, ...query }: InputOf<"messages"> & { readonly kind?: MessageKind },
  read: (page: InputOf<"messages">) => Effect.Effect<ReadonlyArray<ShownMessage>, E>,
) {
  if (kind === undefined) return yield* read(query)
  const { limit = DEFAULT_PAGE } = query
  const found: Array<ShownMessage> = []
  let { after } = query
  while (found.length < limit) {
    const rows = yield* read({ ...query, limit: MAX_PAGE, after })
    found.push(...rows.filter((row) => row.kind === kind))
    after = rows.at(-1)?.id
    if (rows.length < MAX_PAGE) break
  }
  return found.slice(0, limit)
})

const showMessage = reading(
  (api) => api.message,
  "show",
  "Show one message and what was answered",
  { id },
  (report) => [
    ...fields(report.message),
    `session: ${report.sessionStatus}${report.statusReason === null ? "" : ` (${report.statusReason})`}`,
    ...(report.wakeError === null ? [] : [`can't start: ${report.wakeError}`]),
    ...(report.answeredWith.length === 0
      ? []
      : [`answered together with: ${report.answeredWith.join(", ")}`]),
    ...visible(report).map((row) => `answer: ${readableText(row)}`),
  ],
)

const cancel = changing(
  (api) => (said) => api.cancelMessage({ id: said.id, which: said.running ? "running" : "waiting" }),
  "cancel",
  "Cancel a message that no agent has claimed, or a running one",
  {
    id,
    running: whether("running", "Also one that an agent works on: its container is stopped for it"),
  },
  (message) => [`${message.id} is ${message.state}`],
)

const redrive = changing(
  (api) => api.redriveMessage,
  "redrive",
  "Send an ended message again, as a new one that names the old",
  { id },
  (message, said) => [`${message.id} repeats ${said.id} and is ${message.state}`],
)

export const messagesCommand = family("messages", [list, showMessage, cancel, redrive])

const listDeliveries = reading(
  (api) => api.deliveries,
  "list",
  "List deliveries, newest first",
  {
    sessionId: session,
    status: choice("status", DeliveryStatus.literals, "Only those in this state"),
    ...positionFlags,
  },
  (rows) =>
    table(rows, {
      position: (row) => String(row.position),
      id: (row) => row.id,
      channel: (row) => row.channelType ?? "-",
      status: (row) => row.status,
      attempts: (row) => String(row.attempts),
      next: (row) => instant(row.nextAttemptAt),
      error: (row) => row.lastError ?? "",
    }),
)

const redriveDelivery = changing(
  (api) => api.redriveDelivery,
  "redrive",
  "Try a dead delivery again",
  { id: Argument.String("id").pipe(Argument.withSchema(DeliveryId)) },
  (row) => [`delivery ${row.id} is ${row.status}`],
)

export const deliveriesCommand = family("deliveries", [listDeliveries, redriveDelivery])
