/**
 * The message state machine: what may become of a message, as one table. Everything that is not in the table is refused, and a
 * terminal state is final.
 *
 * | event      | pending     | claimed     | terminal |
 * |------------|-------------|-------------|----------|
 * | `claim`    | `claimed`   | refused (1) | refused  |
 * | `complete` | refused (2) | `completed` | refused  |
 * | `skip`     | refused (2) | `skipped`   | refused  |
 * | `fail`     | refused (2) | `failed`    | refused  |
 * | `retry`    | refused (2) | `pending`   | refused  |
 * | `release`  | refused (2) | `pending`   | refused  |
 * | `cancel`   | `cancelled` | refused (3) | refused  |
 * | `expire`   | `expired`   | refused (4) | refused  |
 *
 * (1) At most one attempt is open. (2) These end an attempt, so there must be one: an ack that arrives before its claim was seen is
 * a claim first, and so no message fails that no container has claimed. (3) A claimed message finishes. (4) A time to live ends
 * at the first claim.
 */
import { Result, Schema } from "effect"
import { isTerminal, MessageState } from "./Message.ts"

export const MessageEvent = Schema.Literals([
  "claim",
  "complete",
  "skip",
  "fail",
  "retry",
  "release",
  "cancel",
  "expire",
])
export type MessageEvent = typeof MessageEvent.Type

/** The event is not possible in this state; nothing happened. */
export class IllegalTransition extends Schema.TaggedError<IllegalTransition>()("IllegalTransition", {
  state: MessageState,
  event: MessageEvent,
  message: Schema.String,
}) {}

const TABLE: {
  readonly [State in "pending" | "claimed"]: { readonly [Event in MessageEvent]?: MessageState }
} = {
  pending: { claim: "claimed", cancel: "cancelled", expire: "expired" },
  claimed: {
    complete: "completed",
    skip: "skipped",
    fail: "failed",
    retry: "pending",
    release: "pending",
  },
}

/** The state after the event. */
export const transition = (
  state: MessageState,
  event: MessageEvent,
): Result.Result<MessageState, IllegalTransition> => {
  const next = isTerminal(state) ? undefined : TABLE[state][event]
  return next === undefined
    ? Result.fail(new IllegalTransition({ state, event, message: refusal(state, event) }))
    : Result.succeed(next)
}

const refusal = (state: MessageState, event: MessageEvent): string => {
  if (isTerminal(state))
    return `can't ${event} a message that has ended (${state}): terminal is final; redrive it instead`
  if (state === "pending") return `can't ${event} a message that no container has claimed`
  switch (event) {
    case "claim":
      return "can't claim a message that is claimed already: its open attempt must end first"
    case "cancel":
      return "can't cancel a claimed message: it finishes; stop its session to end it sooner"
    default:
      return `can't ${event} a claimed message`
  }
}
