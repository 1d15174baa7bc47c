/** A message comes in: its content is checked, slash commands are gated, and what passes is durable before it is acknowledged. */
import { Clock, Effect, Result } from "effect"
import { defaultCommands, gateCommand } from "../../domain/CommandGate.ts"
import { MessageId } from "../../domain/Ids.ts"
import { checkContent } from "../../domain/MessageContent.ts"
import type { Session } from "../../domain/Session.ts"
import { newId } from "../Ids.ts"
import { plainDraft } from "../ledger/Accept.ts"
import { Invalid, NotFound } from "../ledger/Refusals.ts"
import type { Nudge } from "../Nudge.ts"
import { SessionStore } from "../SessionStore.ts"
import type { KnownChannels } from "./KnownChannels.ts"
import type { SendReply, SendRequest } from "./Requests.ts"
import { findsSession } from "./SessionRequests.ts"

export const makeSending = Effect.fnUntraced(function* (options: {
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly channels: KnownChannels
}) {
  const store = yield* SessionStore
  const sessionFor = findsSession(store)

  const check = Effect.fnUntraced(function* (request: SendRequest) {
    const { groupId } = request
    if (groupId !== undefined && (yield* store.read((reader) => reader.group(groupId))) === undefined) {
      return yield* NotFound.of("group", groupId)
    }
    const unknown = request.channelType == null ? undefined : options.channels.problemOf(request.channelType)
    if (unknown !== undefined) {
      return yield* new Invalid({ field: "channelType", message: `the message ${unknown}` })
    }
    const content = checkContent(request.kind, request.content, store.options.limits.maxContentBytes)
    return Result.isFailure(content)
      ? yield* new Invalid({ field: "content", message: content.failure.message })
      : content.success
  })

  /** Slash commands end here, unless they pass. Null: not a command, or one for the agent. */
  const gateOf = Effect.fnUntraced(function* (request: SendRequest, session: Session) {
    if (request.kind !== "chat") return null
    const { text } = request.content as { readonly text: string }
    const group = yield* store.read((reader) => reader.group(session.groupId))
    const decision = gateCommand(
      { text, userId: request.userId ?? null },
      { owners: options.owners, globalAdmins: options.globalAdmins, groupAdmins: group?.admins ?? [] },
      defaultCommands,
    )
    switch (decision._tag) {
      case "Pass":
        return null
      case "Drop":
        return {
          outcome: "dropped",
          message: null,
          reason: `/${decision.command} has no meaning here`,
        } satisfies SendReply
      case "Refuse":
        return { outcome: "refused", message: null, reason: decision.message } satisfies SendReply
    }
  })

  return Effect.fnUntraced(function* (request: SendRequest) {
    const content = yield* check(request)
    const session = yield* sessionFor(request)
    const gate = yield* gateOf(request, session)
    if (gate !== null) return gate
    const now = yield* Clock.currentTimeMillis
    const dueAt = request.dueAt ?? now
    const accepted = yield* store.accept(
      session.id,
      plainDraft({
        id: request.id ?? MessageId.make(yield* newId("m")),
        kind: request.kind,
        content,
        dueAt,
        trigger: request.trigger ?? true,
        onWake: request.onWake ?? false,
        priority: request.priority ?? 1,
        expiresAt: request.ttlMs === undefined ? null : dueAt + request.ttlMs,
        channelType: request.channelType ?? null,
        platformId: request.platformId ?? null,
        threadId: request.threadId ?? null,
      }),
    )
    yield* options.look.ring
    return {
      outcome: accepted._tag === "Accepted" ? "accepted" : "existing",
      message: accepted.message,
      reason: null,
    } satisfies SendReply
  })
})
