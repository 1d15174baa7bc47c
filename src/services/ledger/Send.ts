/**
 * A message comes in from outside. One step of one transaction finds or makes its session, gates a slash command by the roles as they
 * stand now, and accepts: nothing of it can change in between.
 */
import { Result } from "effect"
import { type CommandDecision, defaultCommands, gateCommand } from "../../domain/CommandGate.ts"
import type { GroupId, SessionId } from "../../domain/Ids.ts"
import type { EpochMs, Millis } from "../../domain/Instant.ts"
import type { Session, SessionMode } from "../../domain/Session.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { acceptNew, type Accepted, type Draft, foundOrNew, sameAgain, sessionKey } from "./Accept.ts"
import { conflict, invalid, NotFound, type Refusal } from "./Refusals.ts"
import { type TransitionContext, unitOf } from "./SessionUnit.ts"

/** Who a request is for: a session, or the conversation of a group that its address and mode mean. */
export interface Addressee {
  readonly groupId?: GroupId | undefined
  readonly sessionId?: SessionId | undefined
  readonly mode?: SessionMode | undefined
  readonly channelType?: string | null | undefined
  readonly platformId?: string | null | undefined
  readonly threadId?: string | null | undefined
}

export interface Incoming {
  readonly to: Addressee
  /** The id of its session, if that has to be made. */
  readonly newSessionId: SessionId
  /** What a chat says and who says it: it may be a slash command. Null: it is no chat. */
  readonly said: { readonly text: string; readonly userId: string | null } | null
  /** Null: now. */
  readonly dueAt: EpochMs | null
  /** Counted from then on. */
  readonly ttlMs: Millis | null
  readonly draft: Draft
}

/** User ids; a group's own admins stand in the ledger. */
export interface HostRoles {
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
}

/** `Gated`: a slash command that ends here. */
export type Sent =
  | Accepted
  | { readonly _tag: "Gated"; readonly decision: Exclude<CommandDecision, { readonly _tag: "Pass" }> }

/** The session that a request means. One that `isNew` is not written yet. */
export const findSession = (
  tx: LedgerTx,
  to: Addressee,
  newId: SessionId,
  context: TransitionContext,
): Result.Result<{ readonly session: Session; readonly isNew: boolean }, Refusal> => {
  const { groupId, sessionId } = to
  if (sessionId !== undefined) {
    const session = tx.session(sessionId)
    if (session === undefined) return Result.fail(NotFound.of("session", sessionId))
    if (groupId === undefined || session.groupId === groupId) return Result.succeed({ session, isNew: false })
    const message = `session '${sessionId}' belongs to the group '${session.groupId}', not to '${groupId}'; leave the group out`
    return conflict(message)
  }
  if (groupId === undefined) {
    const message = "name a session, or the group whose session shall have it"
    return invalid("groupId", message)
  }
  const address = {
    channelType: to.channelType ?? "stdout",
    platformId: to.platformId ?? "cli",
    threadId: to.threadId ?? null,
  }
  const key = sessionKey(to.mode ?? "shared", address)
  return foundOrNew(tx, { id: newId, groupId, key, origin: "chat", address, expiresAt: null }, context)
}

/** The same id again is the existing message; a slash command may end here; what else passes every check is accepted. */
export const send = (
  tx: LedgerTx,
  incoming: Incoming,
  roles: HostRoles,
  context: TransitionContext,
): Result.Result<Sent, Refusal> => {
  const { said, ttlMs } = incoming
  const found = findSession(tx, incoming.to, incoming.newSessionId, context)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const { session } = found.success
  if (said !== null) {
    const groupAdmins = tx.group(session.groupId)?.admins ?? []
    const decision = gateCommand(said, { ...roles, groupAdmins }, defaultCommands)
    if (decision._tag !== "Pass") return Result.succeed({ _tag: "Gated", decision })
  }
  const dueAt = incoming.dueAt ?? context.now
  const draft = { ...incoming.draft, dueAt, expiresAt: ttlMs === null ? null : dueAt + ttlMs }
  const existing = tx.message(draft.id)
  if (existing !== undefined) return sameAgain(tx, existing, session.id, draft)
  return acceptNew(unitOf(tx, session, context), draft)
}
