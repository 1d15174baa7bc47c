/**
 * Fans a runtime's events out to its subscribers. Each subscriber has its own bounded backlog: lines are only hints, so when a
 * reader is slow they are dropped and one Gap says so; an exit or a gap is never dropped. What is told while nobody listens becomes
 * one Gap for the first who does.
 */
import { type Cause, Effect, Queue, Stream } from "effect"
import type { RuntimeEvent } from "../../services/ContainerRuntime.ts"

interface Subscriber {
  readonly queue: Queue.Queue<RuntimeEvent, Cause.Done>
  /** Lines are being dropped; the Gap that says so is in the queue. */
  dropping: boolean
}

/** How many events a subscriber of a real host's runtime may leave unread. */
const CAPACITY = 2_048

/** `capacity`: how many events a slow subscriber may leave unread before lines are dropped. */
export const makeRuntimeEventHub = (capacity = CAPACITY) => {
  const subscribers = new Set<Subscriber>()
  let closed = false
  let unheard = false

  const publish = (event: RuntimeEvent): void => {
    if (subscribers.size === 0) unheard = true
    for (const subscriber of subscribers) {
      const full = Queue.sizeUnsafe(subscriber.queue) >= capacity
      if (event._tag !== "Line" || !full) {
        if (!full) subscriber.dropping = false
        Queue.offerUnsafe(subscriber.queue, event)
      } else if (!subscriber.dropping) {
        subscriber.dropping = true
        Queue.offerUnsafe(subscriber.queue, {
          _tag: "Gap",
          reason: `lines were dropped: ${capacity} events wait unread`,
        })
      }
    }
  }

  const subscribe = Effect.acquireRelease(
    Effect.map(Queue.unbounded<RuntimeEvent, Cause.Done>(), (queue) => {
      const subscriber: Subscriber = { queue, dropping: false }
      if (closed) Queue.endUnsafe(queue)
      else subscribers.add(subscriber)
      if (unheard)
        Queue.offerUnsafe(queue, { _tag: "Gap", reason: "events were told before anybody listened" })
      unheard = false
      return subscriber
    }),
    (subscriber) =>
      Effect.suspend(() => {
        subscribers.delete(subscriber)
        return Queue.shutdown(subscriber.queue)
      }),
  )

  return {
    /** Synchronous, so that callbacks of the platform keep their order. */
    publish,
    events: Stream.unwrap(Effect.map(subscribe, ({ queue }) => Stream.fromQueue(queue))),
    /** Ends every subscriber's stream once it has read what is queued; later events go nowhere. */
    close: (): void => {
      closed = true
      for (const { queue } of subscribers) Queue.endUnsafe(queue)
      subscribers.clear()
    },
  }
}
