/** Messages come in: their contents are checked here, and what the ledger then accepts of them is durable when it is acknowledged. */
import { Array as Arr, Effect, Result, Struct } from "effect"
import { MessageId, SessionId } from "../../domain/Ids.ts"
import { checkContent } from "../../domain/MessageContent.ts"
import { newId } from "../Ids.ts"
import { plainDraft } from "../ledger/Accept.ts"
import { Invalid } from "../ledger/Refusals.ts"
import type { HostRoles, Incoming, Sent } from "../ledger/Send.ts"
import type { Nudge } from "../Nudge.ts"
import { SessionStore } from "../SessionStore.ts"
import { channelProblem, type KnownChannels } from "./KnownChannels.ts"
import type { InputOf } from "./Contract.ts"
import { type BatchReply, MAX_SEND_BATCH, type SendReply, type SendRequest } from "./Requests.ts"

export const makeSending = Effect.fnUntraced(function* (
  options: HostRoles & { readonly look: Nudge; readonly channels?: KnownChannels },
) {
  const store = yield* SessionStore
  const { maxContentBytes } = store.options.limits

  const check = Effect.fnUntraced(function* (request: SendRequest) {
    const { channelType } = request
    const channel = channelType == null ? undefined : channelProblem(options.channels, channelType)
    if (channel !== undefined) {
      return Result.fail(new Invalid({ field: "channelType", message: `the message ${channel}` }))
    }
    const content = checkContent(request.kind, request.content, maxContentBytes)
    if (Result.isFailure(content)) {
      return Result.fail(new Invalid({ field: "content", message: content.failure.message }))
    }
    const id = request.id ?? MessageId.make(yield* newId("m"))
    const { ttlMs = null, dueAt = null, userId = null } = request
    return Result.succeed<Incoming>({
      to: request,
      newSessionId: SessionId.make(yield* newId("s")),
      said:
        request.kind === "chat"
          ? { text: (request.content as { readonly text: string }).text, userId }
          : null,
      ttlMs,
      dueAt,
      draft: plainDraft({ ...Struct.pick(request, drafted), id, content: content.success, dueAt: 0 }),
    })
  })

  /** Each by itself, all in one transaction. */
  const sendAll = Effect.fnUntraced(function* (requests: ReadonlyArray<SendRequest>) {
    const sent = yield* store.send(yield* Effect.forEach(requests, check), options)
    yield* options.look.ring
    return sent
  })

  return {
    send: Effect.fnUntraced(function* (request: SendRequest) {
      const [sent] = yield* sendAll([request])
      return sent === undefined
        ? yield* Effect.die("nothing was sent")
        : replyOf(yield* Effect.fromResult(sent))
    }),
    sendBatch: ({ requests }: InputOf<"sendBatch">) =>
      Effect.map(Effect.forEach(Arr.chunksOf(requests, MAX_SEND_BATCH), sendAll), (chunks) =>
        chunks.flat().map(
          Result.match({
            onFailure: ({ _tag, message }): BatchReply => ({
              outcome: "failed",
              message: null,
              reason: message,
              error: _tag,
            }),
            onSuccess: (done): BatchReply => ({ ...replyOf(done), error: null }),
          }),
        ),
      ),
  }
})

const drafted = ["kind", "trigger", "onWake", "priority", "channelType", "platformId", "threadId"] as const

const replyOf = (sent: Sent): SendReply => {
  if (sent._tag !== "Gated") {
    const outcome = sent._tag === "Accepted" ? "accepted" : "existing"
    return { outcome, message: sent.message, reason: null }
  }
  const { decision } = sent
  return decision._tag === "Drop"
    ? { outcome: "dropped", message: null, reason: `/${decision.command} has no meaning here` }
    : { outcome: "refused", message: null, reason: decision.message }
}
