/** A message: a durable row addressed to a session. Everything that reaches an agent is one. */
import { Schema } from "effect"
import { Address } from "./Address.ts"
import { IncarnationNumber, MessageId, SeriesId, SessionId } from "./Ids.ts"
import { EpochMs, MAX_EPOCH_MS } from "./Instant.ts"

export const MessageKind = Schema.Literals(["chat", "task", "webhook", "system"])
export type MessageKind = typeof MessageKind.Type

/** `pending` and `claimed` are open; the others are terminal, and terminal is final. */
export const MessageState = Schema.Literals([
  "pending",
  "claimed",
  "completed",
  "skipped",
  "failed",
  "cancelled",
  "expired",
])
export type MessageState = typeof MessageState.Type

export type TerminalState = Exclude<MessageState, "pending" | "claimed">

export const isTerminal = (state: MessageState): state is TerminalState =>
  state !== "pending" && state !== "claimed"

/** Higher goes first. */
export const PRIORITIES = { low: 0, normal: 1, high: 2 } as const
export const Priority = Schema.Literals([0, 1, 2])
export type Priority = typeof Priority.Type

export const Message = Schema.Struct({
  id: MessageId,
  sessionId: SessionId,
  /** Even, given in the accept transaction; what the agent sees as the id. */
  seq: Schema.Int,
  kind: MessageKind,
  state: MessageState,
  /** False: context that rides along, never wakes and never spends a try. */
  trigger: Schema.Boolean,
  /** True: due only while nothing runs, and shown only on a container's first poll. */
  onWake: Schema.Boolean,
  priority: Priority,
  /** When it is next due; a retry moves it. */
  dueAt: EpochMs,
  /** When it was first due: never moves. */
  firstDueAt: EpochMs,
  /** Not claimed by then: `expired`. */
  expiresAt: Schema.NullOr(EpochMs),
  /** JSON text; its shape depends on the kind (docs/exchange.md). */
  content: Schema.String,
  ...Address.fields,
  sourceSessionId: Schema.NullOr(SessionId),
  /** How many messages of agents led to it: 0 from anybody else. */
  hops: Schema.Int,
  seriesId: Schema.NullOr(SeriesId),
  /** The slot's UTC instant, and what asked for it: `schedule`, or a backfill's id. */
  slot: Schema.NullOr(EpochMs),
  slotOrigin: Schema.NullOr(Schema.String),
  /** Tries spent: attempts that ended in a way that counts. */
  tries: Schema.Int,
  /** Attempts opened, whatever they cost. */
  attempts: Schema.Int,
  /** The incarnation that it was shown to; 0 for none. */
  admittedIn: IncarnationNumber,
  /** The session's revision when this row last changed. */
  revision: Schema.Int,
  /** Its last container died with it open: it is offered alone from now on. */
  suspect: Schema.Boolean,
  acceptedAt: EpochMs,
  wokenAt: Schema.NullOr(EpochMs),
  claimedAt: Schema.NullOr(EpochMs),
  endedAt: Schema.NullOr(EpochMs),
  error: Schema.NullOr(Schema.String),
  result: Schema.NullOr(Schema.String),
  redriveOf: Schema.NullOr(MessageId),
})
export type Message = typeof Message.Type

/** Whether this row can ever wake a container and spend tries. */
export const wakes = (message: Pick<Message, "kind" | "trigger">): boolean =>
  message.trigger && message.kind !== "system"

/** When an occurrence is due that waits for the run before it: never, until it is let go. Nobody outside of the ledger sees this number. */
export const HELD_BACK: EpochMs = MAX_EPOCH_MS

/** A message as callers see it: one that waits for the run before it has no instant at which it is due. */
export const ShownMessage = Schema.Struct({
  ...Message.fields,
  dueAt: Schema.NullOr(EpochMs),
  firstDueAt: Schema.NullOr(EpochMs),
})
export type ShownMessage = typeof ShownMessage.Type

export const shownMessage = (message: Message): ShownMessage => ({
  ...message,
  dueAt: message.dueAt === HELD_BACK ? null : message.dueAt,
  firstDueAt: message.firstDueAt === HELD_BACK ? null : message.firstDueAt,
})
