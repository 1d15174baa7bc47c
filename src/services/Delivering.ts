/**
 * The delivery loop: sends what is due, one at a time per lane (the ledger sees to that), several lanes at once. A crash between
 * send and mark repeats the row with the same idempotency key; nothing is ever marked before it was sent.
 */
import { Clock, Effect } from "effect"
import type { Delivery } from "../domain/Delivery.ts"
import { type Channel, ChannelError, Channels } from "./Channels.ts"
import { crashable } from "./CrashPoint.ts"
import type { SendOutcome } from "./ledger/Deliveries.ts"
import type { Nudge } from "./Nudge.ts"
import { SessionStore } from "./SessionStore.ts"

const BATCH = 64
const CONCURRENCY = 8
/** Beyond what a channel waits for itself: one that hangs ends here. */
const SEND_LIMIT_MS = 60_000
const limitOf = (channel: Channel): number => Math.max(SEND_LIMIT_MS, (channel.limitMs ?? 0) + 1_000)
/** Between two passes when the ledger can't be used. */
const RETRY_MS = 1_000
/** The longest sleep between two passes: the safety net. */
const MAX_WAIT_MS = 60_000

/** Sends everything that is due now. Returns how many it tried. */
export const deliverDue = Effect.fnUntraced(function* () {
  const store = yield* SessionStore
  const now = yield* Clock.currentTimeMillis
  const due = yield* store.read((reader) => reader.dueDeliveries(now, BATCH))
  yield* Effect.forEach(due, (delivery) => deliverOne(delivery), { concurrency: CONCURRENCY, discard: true })
  return due.length
})

const deliverOne = Effect.fnUntraced(function* (due: Delivery) {
  const store = yield* SessionStore
  const delivery = yield* store.takeDelivery(due.id)
  if (delivery === undefined) return
  if (delivery.channelType === "agent") return yield* store.forward(delivery.id)
  yield* store.settleDelivery(delivery.id, yield* send(delivery))
})

const send = Effect.fnUntraced(function* (delivery: Delivery) {
  const channels = yield* Channels
  const channel = delivery.channelType === null ? undefined : channels.get(delivery.channelType)
  if (channel === undefined) {
    return {
      _tag: "NotSent",
      kind: "Permanent",
      message: `channel '${delivery.channelType}' is not configured; there are: ${channels.types.join(", ")}`,
      retryAfterMs: null,
    } satisfies SendOutcome
  }
  return yield* channel.send(delivery).pipe(
    Effect.timeoutOrElse({
      duration: limitOf(channel),
      orElse: () => failedSend(`the channel did not answer for ${limitOf(channel)} ms`),
    }),
    Effect.catchDefect((defect) =>
      Effect.andThen(
        Effect.logError(`channel '${channel.type}' is broken`, defect),
        failedSend(`the channel's code failed: ${String(defect)}`),
      ),
    ),
    crashable("channel.send"),
    Effect.match({
      onFailure: (error): SendOutcome => ({
        _tag: "NotSent",
        kind: error.kind,
        message: error.message,
        retryAfterMs: error.retryAfterMs,
      }),
      onSuccess: ({ platformMessageId }): SendOutcome => ({ _tag: "Sent", platformMessageId }),
    }),
  )
})

/** Whether the other side has it is not known: it is repeated under the same key. */
const failedSend = (message: string) =>
  Effect.fail(new ChannelError({ kind: "Transient", message, retryAfterMs: null }))

/** Never ends by itself; `settled` is rung after each pass that sent something. */
export const deliveryLoop = Effect.fnUntraced(function* (nudge: Nudge, settled: Nudge) {
  const store = yield* SessionStore
  while (true) {
    const tried = yield* deliverDue().pipe(
      Effect.catchTag("LedgerError", (error) =>
        Effect.as(Effect.logError(`deliveries wait: the ledger says ${error.message}`), "failed" as const),
      ),
    )
    if (tried === "failed") {
      yield* Effect.sleep(RETRY_MS)
      continue
    }
    if (tried > 0) {
      yield* settled.ring
      // What was sent gave its turn to the row behind it, which is due now.
      continue
    }
    const now = yield* Clock.currentTimeMillis
    const next = yield* Effect.orElseSucceed(
      store.read((reader) => reader.nextDeliveryAfter(now)),
      () => now + 1_000,
    )
    yield* nudge.wait(now, next, MAX_WAIT_MS)
  }
})
