/** Requests about messages and deliveries: what went in, what came out, and what to do about either. */
import { Effect } from "effect"
import type { Delivery } from "../../domain/Delivery.ts"
import { MessageId } from "../../domain/Ids.ts"
import { type Message, shownMessage } from "../../domain/Message.ts"
import { newId } from "../Ids.ts"
import type { Nudge } from "../Nudge.ts"
import { SessionStore } from "../SessionStore.ts"
import type { InputOf } from "./Contract.ts"
import { existing, only, pageOf } from "./Lookup.ts"
import { DEFAULT_PAGE, type MessageReport } from "./Requests.ts"

/** Nameless rows belong to a message until this long after its end: the look that follows it has then happened. */
const LAST_LOOK_MS = 1_500

export const makeMessageRequests = Effect.fnUntraced(function* (options: {
  readonly look: Nudge
  readonly deliver: Nudge
}) {
  const store = yield* SessionStore

  return {
    messages: ({ sessionId, state, taskId, ...page }: InputOf<"messages"> = {}) =>
      store.read((reader) =>
        reader.messages({ sessionId, seriesId: taskId, states: only(state) }, pageOf(page)).map(shownMessage),
      ),
    message: ({ id }: InputOf<"message">) =>
      store
        .read((reader): MessageReport | undefined => {
          const message = reader.message(id)
          if (message === undefined) return undefined
          const rows = reader.deliveries({ sessionId: message.sessionId }, { limit: DEFAULT_PAGE })
          const session = reader.session(message.sessionId)
          const own = rows.filter((row) => answers(message, row)).toReversed()
          return {
            message: shownMessage(message),
            answers: own,
            answeredWith: [...new Set(own.flatMap((row) => row.answers))].filter((other) => other !== id),
            wakeError: session?.wakeError ?? null,
            sessionStatus: session?.status ?? "active",
            statusReason: session?.statusReason ?? null,
          }
        })
        .pipe(Effect.flatMap(existing("message", id))),
    cancelMessage: ({ id, which }: InputOf<"cancelMessage">) =>
      Effect.map(Effect.tap(store.cancelMessage(id, which), options.look.ring), shownMessage),
    redriveMessage: Effect.fnUntraced(function* ({ id }: InputOf<"redriveMessage">) {
      const accepted = yield* store.redriveMessage(id, MessageId.make(yield* newId("m")))
      yield* options.look.ring
      return accepted.message
    }),
    deliveries: ({ sessionId, status, ...page }: InputOf<"deliveries"> = {}) =>
      store.read((reader) => reader.deliveries({ sessionId, statuses: only(status) }, pageOf(page))),
    redriveDelivery: ({ id }: InputOf<"redriveDelivery">) =>
      Effect.tap(store.redriveDelivery(id), options.deliver.ring),
  }
})

/**
 * Whether a row belongs to a message: it says so, it was written in the message's turn, or nothing is known of its turn and it was
 * written between the message's claim and the look after its end.
 */
const answers = (message: Message, row: Delivery): boolean =>
  row.inReplyTo === message.id ||
  row.answers.includes(message.id) ||
  (row.inReplyTo === null &&
    row.answers.length === 0 &&
    message.claimedAt !== null &&
    row.createdAt >= message.claimedAt &&
    (message.endedAt === null || row.createdAt <= message.endedAt + LAST_LOOK_MS))
