import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schema, Stream } from "effect"
import { GroupId, InstallId, SessionId } from "../../../src/domain/Ids.ts"
import { makeRuntimeEventHub } from "../../../src/layers/runtime/RuntimeEventHub.ts"
import type { ContainerRef, RuntimeEvent } from "../../../src/services/ContainerRuntime.ts"

const ref: ContainerRef = {
  labels: {
    install: Schema.decodeSync(InstallId)("abcdefgh"),
    group: Schema.decodeSync(GroupId)("family"),
    session: Schema.decodeSync(SessionId)("one"),
    incarnation: 1,
  },
  handle: "h",
}

const line = (text: string): RuntimeEvent => ({ _tag: "Line", ref, line: text })
const exited: RuntimeEvent = {
  _tag: "Exited",
  ref,
  exit: { exitCode: 0, signal: null, oomKilled: false, at: null },
}

const word = (event: RuntimeEvent): string => (event._tag === "Line" ? event.line : event._tag)

describe("RuntimeEventHub", () => {
  it.effect("drops lines for a slow reader, says so once, and never drops an exit", () =>
    Effect.gen(function* () {
      const hub = makeRuntimeEventHub(3)
      const gate = yield* Deferred.make<void>()
      const reader = yield* hub.events.pipe(
        Stream.mapEffect((event) => Effect.as(Deferred.await(gate), word(event))),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true }),
      )
      hub.publish(line("taken"))
      yield* Effect.yieldNow
      for (const text of ["1", "2", "3", "4", "5", "6"]) hub.publish(line(text))
      hub.publish(exited)
      hub.publish(line("7"))
      hub.publish({ _tag: "Gap", reason: "the engine restarted" })
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      hub.close()
      assert.deepStrictEqual(yield* Fiber.join(reader), ["taken", "1", "2", "3", "Gap", "Exited", "Gap"])
    }),
  )

  it.effect("says it again when lines are dropped anew", () =>
    Effect.gen(function* () {
      const hub = makeRuntimeEventHub(1)
      const seen: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* Stream.runForEach(hub.events, (event) =>
        Effect.andThen(
          Effect.sync(() => seen.push(word(event))),
          event._tag === "Line" && event.line === "slow" ? Deferred.await(gate) : Effect.void,
        ),
      ).pipe(Effect.forkChild({ startImmediately: true }))
      hub.publish(line("slow"))
      yield* Effect.yieldNow
      for (const text of ["1", "2", "3"]) hub.publish(line(text))
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      for (const text of ["4", "5"]) hub.publish(line(text))
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, ["slow", "1", "Gap", "4", "Gap"])
    }),
  )

  it.effect("tells the first who listens that something was told before, and nobody else", () =>
    Effect.gen(function* () {
      const hub = makeRuntimeEventHub(3)
      const listen = Stream.runCollect(hub.events).pipe(Effect.forkChild({ startImmediately: true }))
      hub.publish(exited)
      const first = yield* listen
      const second = yield* listen
      hub.publish(line("heard"))
      hub.close()
      assert.deepStrictEqual((yield* Fiber.join(first)).map(word), ["Gap", "heard"])
      assert.deepStrictEqual((yield* Fiber.join(second)).map(word), ["heard"])
    }),
  )

  it.effect("ends the streams when it closes, also those that begin later", () =>
    Effect.gen(function* () {
      const hub = makeRuntimeEventHub(3)
      const early = yield* Stream.runCollect(hub.events).pipe(Effect.forkChild({ startImmediately: true }))
      hub.publish(exited)
      hub.close()
      hub.publish(exited)
      assert.deepStrictEqual(yield* Fiber.join(early), [exited])
      assert.deepStrictEqual(yield* Stream.runCollect(hub.events), [])
    }),
  )
})
