/** A message: a durable row addressed to a session. Everything that reaches an agent is one. */
import { type Brand, Result, Schema } from "effect"
import { Address } from "./Address.ts"
import { IncarnationNumber, MessageId, SeriesId, SessionId } from "./Ids.ts"
import { EpochMs, MAX_EPOCH_MS } from "./Instant.ts"

export const MessageKind = Schema.Literals(["chat", "task", "webhook", "system"])
export type MessageKind = typeof MessageKind.Type

/** Terminal is final. */
export const TERMINAL_STATES = ["completed", "skipped", "failed", "cancelled", "expired"] as const
export type TerminalState = (typeof TERMINAL_STATES)[number]

/** `pending` and `claimed` are open; the others are terminal. */
export const MessageState = Schema.Literals(["pending", "claimed", ...TERMINAL_STATES])
export type MessageState = typeof MessageState.Type

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

/*
 * The message state machine: what may become of a message, as one table. Everything that is not in the table is refused, and a
 * terminal state is final. The ledger takes only rows that this module made (`MessageRow`), so no change goes around the table.
 *
 * | event            | pending     | claimed     | terminal |
 * |------------------|-------------|-------------|----------|
 * | `claim`          | `claimed`   | refused (1) | refused  |
 * | `complete`       | refused (2) | `completed` | refused  |
 * | `skip`           | refused (2) | `skipped`   | refused  |
 * | `fail`           | refused (2) | `failed`    | refused  |
 * | `retry`          | refused (2) | `pending`   | refused  |
 * | `release`        | refused (2) | `pending`   | refused  |
 * | `cancel`         | `cancelled` | refused (3) | refused  |
 * | `cancel-running` | refused (2) | `cancelled` | refused  |
 * | `expire`         | `expired`   | refused (4) | refused  |
 *
 * (1) At most one attempt is open. (2) These end an attempt, so there must be one: an ack that arrives before its claim was seen is
 * a claim first, and so no message fails that no container has claimed. (3) A claimed message finishes, unless its container is
 * stopped for it: that is `cancel-running`. (4) A time to live ends at the first claim.
 */

const ENDINGS = ["complete", "skip", "fail", "cancel", "cancel-running", "expire"] as const

export const MessageEvent = Schema.Literals(["claim", "retry", "release", ...ENDINGS])
export type MessageEvent = typeof MessageEvent.Type
/** The events that end a message. */
export type EndingEvent = (typeof ENDINGS)[number]

/** The event is not possible in this state; nothing happened. */
export class IllegalTransition extends Schema.TaggedError<IllegalTransition>()("IllegalTransition", {
  state: MessageState,
  event: MessageEvent,
  message: Schema.String,
}) {}

/** What an event can lead to. */
export type After<Event> = Event extends EndingEvent ? TerminalState : Exclude<MessageState, TerminalState>

const TABLE: {
  readonly [State in "pending" | "claimed"]: { readonly [Event in MessageEvent]?: After<Event> }
} = {
  pending: { claim: "claimed", cancel: "cancelled", expire: "expired" },
  claimed: {
    complete: "completed",
    skip: "skipped",
    fail: "failed",
    retry: "pending",
    release: "pending",
    "cancel-running": "cancelled",
  },
}

/** The state after the event. */
export const transition = <Event extends MessageEvent>(
  state: MessageState,
  event: Event,
): Result.Result<After<Event>, IllegalTransition> => {
  const next: After<Event> | undefined = isTerminal(state) ? undefined : TABLE[state][event]
  return next === undefined
    ? Result.fail(new IllegalTransition({ state, event, message: refusal(state, event) }))
    : Result.succeed(next)
}

/** A message that may be written: what it was before, changed as the table allows. */
export type MessageRow = Message & { readonly state: Brand.Brand<"MessageTable"> }
/** Changes that leave the state alone. */
export type MessagePatch = Partial<Omit<Message, "state">>

/** A message that is new. */
export const accepted = (fields: Omit<Message, "state" | "revision">, revision: number): MessageRow =>
  ({ ...fields, state: "pending", revision }) as MessageRow

/** The same message in the same state, with other fields changed. */
export const amended = (before: Message, patch: MessagePatch): MessageRow =>
  ({ ...before, ...patch, state: before.state }) as MessageRow

/** The message after the event. */
export const moved = <Event extends MessageEvent>(
  before: Message,
  event: Event,
  patch: MessagePatch,
): Result.Result<MessageRow & { readonly state: After<Event> }, IllegalTransition> =>
  Result.map(
    transition(before.state, event),
    (state) => ({ ...before, ...patch, state }) as MessageRow & { readonly state: After<Event> },
  )

const refusal = (state: MessageState, event: MessageEvent): string => {
  if (isTerminal(state))
    return `can't ${event} a message that has ended (${state}): terminal is final; redrive it instead`
  if (state === "pending") return `can't ${event} a message that no container has claimed`
  return REFUSALS[event] ?? `can't ${event} a claimed message`
}

const REFUSALS: { readonly [Event in MessageEvent]?: string } = {
  claim: "can't claim a message that is claimed already: its open attempt must end first",
  cancel: "can't cancel a claimed message: it finishes; --running stops its container and ends it now",
}
