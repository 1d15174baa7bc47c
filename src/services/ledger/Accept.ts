/**
 * Ingress: a session is found or made, a message is accepted once, cancelled, expired, or redriven. What these transitions accept is
 * durable when their transaction is, and only then acknowledged.
 */
import { Result } from "effect"
import { type Address, addressOf, nowhere } from "../../domain/Address.ts"
import type { GroupId, MessageId, SessionId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { isTerminal, type Message, transition, wakes } from "../../domain/Message.ts"
import type { Session, SessionMode, SessionOrigin } from "../../domain/Session.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { cancelOpen, finishMessage } from "./Finish.ts"
import { conflict, type Conflict, Full, NotFound } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext, withUnit } from "./SessionUnit.ts"

/** The fields of a message that nothing has happened to yet. */
const fresh = {
  tries: 0,
  attempts: 0,
  admittedIn: 0,
  suspect: false,
  wokenAt: null,
  claimedAt: null,
  endedAt: null,
  error: null,
  result: null,
}

/** A message before the ledger has it. `content` is JSON text that has been validated for its kind. */
export type Draft = Omit<
  Message,
  keyof typeof fresh | "sessionId" | "seq" | "state" | "revision" | "firstDueAt" | "acceptedAt"
>

export type Accepted =
  | { readonly _tag: "Accepted"; readonly message: Message; readonly session: Session }
  | { readonly _tag: "Existing"; readonly message: Message; readonly session: Session }

export const plainDraft = (
  draft: Pick<Draft, "id" | "kind" | "content" | "dueAt"> & Partial<Draft>,
): Draft => ({
  trigger: true,
  onWake: false,
  priority: 1,
  expiresAt: null,
  ...nowhere,
  sourceSessionId: null,
  hops: 0,
  seriesId: null,
  slot: null,
  slotOrigin: null,
  redriveOf: null,
  ...draft,
})

/** The unique key, within its group, of the session that an address resolves to. */
export const sessionKey = (mode: SessionMode, address: Address): string => {
  switch (mode) {
    case "agent-shared":
      return "agent"
    case "shared":
      return JSON.stringify(["chat", address.channelType, address.platformId])
    case "per-thread":
      return JSON.stringify(["thread", address.channelType, address.platformId, address.threadId])
  }
}

/** A session as it is wanted: found by its key, or made with the id given. */
export interface WantedSession {
  readonly id: SessionId
  readonly groupId: GroupId
  readonly key: string
  readonly origin: SessionOrigin
  readonly address: Address
  readonly expiresAt: EpochMs | null
}

/** The session of that key or a new one, which is not written yet. */
export const foundOrNew = (
  tx: LedgerTx,
  wanted: WantedSession,
  context: TransitionContext,
): Result.Result<{ readonly session: Session; readonly isNew: boolean }, NotFound | Conflict> => {
  if (tx.group(wanted.groupId) === undefined) return Result.fail(NotFound.of("group", wanted.groupId))
  const existing = tx.sessionByKey(wanted.groupId, wanted.key)
  if (existing !== undefined) return Result.succeed({ session: existing, isNew: false })
  if (tx.session(wanted.id) !== undefined) {
    return conflict(`a session with the id '${wanted.id}' exists with another key`)
  }
  const { address, ...named } = wanted
  const session: Session = {
    ...named,
    ...address,
    status: "active",
    statusReason: null,
    incarnation: 0,
    live: false,
    hostSeq: 0,
    revision: 0,
    queued: 0,
    wakeAt: null,
    wakePriority: 0,
    wakeFailures: 0,
    wakeNotBefore: 0,
    wakeError: null,
    createdAt: context.now,
  }
  return Result.succeed({ session, isNew: true })
}

/** Finds the session of that key, or makes it with the id given. */
export const resolveSession = (
  tx: LedgerTx,
  wanted: WantedSession,
  context: TransitionContext,
): Result.Result<Session, NotFound | Conflict> =>
  Result.map(foundOrNew(tx, wanted, context), ({ isNew, session }) => {
    if (isNew) tx.putSession(session)
    return session
  })

/** Accepts a message once: the same id with the same content again is the existing one, with other content a conflict. */
export const accept = (
  tx: LedgerTx,
  sessionId: SessionId,
  draft: Draft,
  context: TransitionContext,
): Result.Result<Accepted, NotFound | Conflict | Full> => {
  const existing = tx.message(draft.id)
  if (existing !== undefined) return sameAgain(tx, existing, sessionId, draft)
  const unit = openUnit(tx, sessionId, context)
  return unit === undefined ? Result.fail(NotFound.of("session", sessionId)) : acceptNew(unit, draft)
}

/** What a draft with the id of an existing message is. */
export const sameAgain = (
  tx: LedgerTx,
  existing: Message,
  sessionId: SessionId,
  draft: Draft,
): Result.Result<Accepted, Conflict> => {
  const same =
    existing.sessionId === sessionId && existing.kind === draft.kind && existing.content === draft.content
  const session = tx.session(existing.sessionId)
  if (same && session !== undefined) return Result.succeed({ _tag: "Existing", message: existing, session })
  return conflict(
    `a message with the id '${draft.id}' exists with other content or in another session; choose another id`,
  )
}

/** Accepts a draft whose id is new. A refusal has written nothing. */
export const acceptNew = (unit: SessionUnit, draft: Draft): Result.Result<Accepted, NotFound | Full> => {
  if (unit.group === undefined) return Result.fail(NotFound.of("group", unit.session().groupId))
  const refusal = refuseFull(unit, draft)
  if (refusal !== undefined) return Result.fail(refusal)
  const message = insertDraft(unit, draft)
  return Result.succeed({ _tag: "Accepted", message, session: unit.close() })
}

/** Inserts a draft that has passed every check; also used by transitions that make messages of their own. */
export const insertDraft = (unit: SessionUnit, draft: Draft): Message => {
  const session = unit.session()
  return unit.insertMessage({
    ...draft,
    ...fresh,
    ...addressOf(draft.channelType === null ? session : draft),
    sessionId: session.id,
    seq: unit.nextSeq(),
    firstDueAt: draft.dueAt,
    acceptedAt: unit.context.now,
    expiresAt: draft.expiresAt ?? contextExpiry(unit, draft),
  })
}

/** Rows that never wake would wait for ever in a session that nothing wakes: they expire by retention. */
const contextExpiry = (unit: SessionUnit, draft: Draft): EpochMs | null =>
  wakes(draft) ? null : unit.context.now + unit.policy.contextRetentionMs

const refuseFull = (unit: SessionUnit, draft: Draft): Full | undefined => {
  const session = unit.session()
  if (session.queued >= unit.policy.maxQueuedMessages) {
    return new Full({
      message: `session '${session.id}' has ${session.queued} messages waiting, its limit (maxQueuedMessages); wait for it or cancel some`,
    })
  }
  const channelType = draft.channelType ?? session.channelType
  if (channelType === null) return undefined
  const limit = unit.context.limits.maxPendingDeliveries
  const waiting = unit.tx.countPendingDeliveries(channelType, 2 * limit)
  if (waiting < limit) return undefined
  const share = Math.ceil(limit / CHANNEL_SHARES)
  const own = unit.tx.deliveries({ sessionId: session.id, statuses: ["pending"] }, { limit: share }).length
  if (waiting < 2 * limit && own < share) return undefined
  return new Full({
    message: `channel '${channelType}' has ${waiting} deliveries waiting (maxPendingDeliveries is ${limit}), ${own} of them of session '${session.id}'; 'lamplighter deliveries list' shows why they wait`,
  })
}

/** A full channel still takes messages of sessions that have less than one of so many shares of it, up to twice its limit. */
const CHANNEL_SHARES = 100

/** `waiting`: a claimed message is refused. `running`: it ends too, its container is stopped, and the others there pay nothing. */
export type Cancellable = "waiting" | "running"

/** Cancels a message that waits or, if that is asked for, one that runs. A terminal one stays what it is. */
export const cancelMessage = (
  tx: LedgerTx,
  id: MessageId,
  which: Cancellable,
  context: TransitionContext,
): Result.Result<Message, NotFound | Conflict> => {
  const message = tx.message(id)
  if (message === undefined) return Result.fail(NotFound.of("message", id))
  const event = which === "running" && message.state === "claimed" ? "cancel-running" : "cancel"
  const next = transition(message.state, event)
  if (Result.isFailure(next)) {
    const remedy =
      message.state === "claimed" ? `; say it with 'lamplighter messages cancel --running ${id}'` : ""
    return conflict(`message '${id}': ${next.failure.message}${remedy}`)
  }
  const why = event === "cancel" ? null : "cancelled by an operator"
  const ended = withUnit(tx, message.sessionId, context, (unit) => cancelOpen(unit, message, why))
  return ended === undefined ? Result.fail(NotFound.of("session", message.sessionId)) : Result.succeed(ended)
}

/** Makes a new message of an ended one: same content, fresh tries, naming the old one. */
export const redriveMessage = (
  tx: LedgerTx,
  id: MessageId,
  newId: MessageId,
  context: TransitionContext,
): Result.Result<Accepted, NotFound | Conflict | Full> => {
  const old = tx.message(id)
  if (old === undefined) return Result.fail(NotFound.of("message", id))
  if (!isTerminal(old.state)) {
    return conflict(`message '${id}' has not ended (${old.state}); there is nothing to redrive`)
  }
  const { content, hops, kind, priority, sourceSessionId, trigger } = old
  const said = { kind, content, trigger, priority, sourceSessionId, hops, ...addressOf(old) }
  const draft = plainDraft({ ...said, id: newId, dueAt: context.now, redriveOf: id })
  return accept(tx, old.sessionId, draft, context)
}

/** Ends what is past its TTL: pending rows only, a TTL ends at the first claim. Returns how many; call again at the limit. */
export const expireMessages = (tx: LedgerTx, limit: number, context: TransitionContext): number => {
  const expired = tx.expired(context.now, limit)
  for (const message of expired) {
    const error = wakes(message)
      ? "not claimed within its time to live"
      : "context that no container took in time"
    withUnit(tx, message.sessionId, context, (unit) =>
      finishMessage(unit, message, "expire", { error, result: null }),
    )
  }
  return expired.length
}
