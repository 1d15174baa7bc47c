/**
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
import { type Brand, Result, Schema } from "effect"
import { isTerminal, type Message, MessageState, type TerminalState } from "./Message.ts"

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
export type MessageRow = Message & Brand.Brand<"MessageRow">
/** Changes that leave the state alone. */
export type MessagePatch = Partial<Omit<Message, "state">>

/** A message that is new. */
export const accepted = (fields: Omit<Message, "state">): MessageRow =>
  ({ ...fields, state: "pending" }) as MessageRow

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
  switch (event) {
    case "claim":
      return "can't claim a message that is claimed already: its open attempt must end first"
    case "cancel":
      return "can't cancel a claimed message: it finishes; --running stops its container and ends it now"
    default:
      return `can't ${event} a claimed message`
  }
}
