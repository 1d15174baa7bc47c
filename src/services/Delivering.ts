/**
 * The delivery loop: sends what is due, one at a time per lane (the ledger sees to that), and so many at once as there are slots. A
 * crash between send and mark repeats the row with the same idempotency key; nothing is ever marked before it was sent.
 */
import { Clock, Effect, FiberSet } from "effect"
import type { Delivery } from "../domain/Delivery.ts"
import { type Channel, ChannelError, Channels } from "./Channels.ts"
import { crashable } from "./CrashPoint.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { SendOutcome } from "./ledger/Deliveries.ts"
import type { Nudge } from "./Nudge.ts"
import { DUE_BATCH, makeSendSlots } from "./SendSlots.ts"
import { SessionStore } from "./SessionStore.ts"

/** Beyond what a channel waits for itself: one that hangs ends here. */
const SEND_LIMIT_MS = 60_000
const limitOf = (channel: Channel): number => Math.max(SEND_LIMIT_MS, (channel.limitMs ?? 0) + 1_000)
/** Between two passes when the ledger can't be used. */
const RETRY_MS = 1_000
/** The longest sleep between two passes: the safety net. */
const MAX_WAIT_MS = 60_000

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

/** Never ends by itself; `settled` is rung whenever something became of a delivery. */
export const deliveryLoop = Effect.fnUntraced(function* (nudge: Nudge, settled: Nudge) {
  const store = yield* SessionStore
  const fibers = yield* FiberSet.make<void>()
  const slots = makeSendSlots()
  let ledger: "answers" | "fails" = "answers"

  const failed = (error: LedgerError) => {
    const told =
      ledger === "fails" ? Effect.void : Effect.logError(`deliveries wait: the ledger says ${error.message}`)
    ledger = "fails"
    return Effect.andThen(told, Effect.sleep(RETRY_MS))
  }
  const start = (row: Delivery): Effect.Effect<unknown, never, SessionStore | Channels> =>
    FiberSet.run(fibers, Effect.andThen(Effect.catchTag(deliverOne(row), "LedgerError", failed), ended(row)))
  // What was sent gave its turn to the row behind it, which is due now.
  const ended = (row: Delivery) =>
    Effect.suspend(() => {
      const next = slots.free(row)
      return Effect.andThen(next === undefined ? nudge.ring : start(next), settled.ring)
    })
  const pass = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const { next, planned } = yield* store.read((reader) => ({
      planned: slots.plan((passedOver) => reader.dueDeliveries(now, DUE_BATCH, passedOver)),
      next: reader.nextDeliveryAfter(now),
    }))
    ledger = "answers"
    slots.take(planned)
    yield* Effect.forEach(planned.start, start, { discard: true })
    yield* nudge.wait(now, next, MAX_WAIT_MS)
  })
  return yield* Effect.raceFirst(
    Effect.forever(Effect.catchTag(pass, "LedgerError", failed)),
    // A send that dies of a defect ends the loop.
    FiberSet.join(fibers),
  )
}, Effect.scoped)
