/** Containers that exist in a list only: what a wake costs on it is the host's part, and nothing but the host is measured. */
import { Effect, Layer, Queue, Stream } from "effect"
import {
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type RuntimeEvent,
} from "../src/services/ContainerRuntime.ts"

/** `onStart` is called at the instant at which a container would be started. */
export const stubRuntime = (onStart: (ref: ContainerRef) => void = () => undefined) =>
  Layer.effect(
    ContainerRuntime,
    Effect.gen(function* () {
      const running = new Map<string, ContainerStatus>()
      const events = yield* Queue.unbounded<RuntimeEvent>()
      const exit = { exitCode: 0, signal: null, oomKilled: false, at: null }
      const end = (ref: ContainerRef) =>
        Effect.suspend(() => {
          running.delete(ref.handle)
          return Effect.asVoid(Queue.offer(events, { _tag: "Exited", ref, exit }))
        })
      return ContainerRuntime.of({
        kind: "stub",
        bootId: "bench",
        start: ({ labels }) =>
          Effect.sync(() => {
            const ref = { labels, handle: `${labels.session}/${labels.incarnation}` }
            running.set(ref.handle, { _tag: "Running", ref, startedAt: null })
            onStart(ref)
            return ref
          }),
        stop: end,
        kill: end,
        list: Effect.sync(() => [...running.values()]),
        adopt: () => Effect.void,
        output: () => Effect.succeed({ stdout: "", stderr: "", text: "" }),
        remove: () => Effect.void,
        events: Stream.fromQueue(events),
      })
    }),
  )
