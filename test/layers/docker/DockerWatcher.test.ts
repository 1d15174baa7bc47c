/** What a watcher makes of an engine's words, in an order that a real engine gives them in only sometimes. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { PassThrough, type Readable } from "node:stream"
import { GroupId, InstallId, SessionId } from "../../../src/domain/Ids.ts"
import { DockerEngine } from "../../../src/layers/docker/DockerEngine.ts"
import { makeDockerWatcher } from "../../../src/layers/docker/DockerWatcher.ts"
import type { ContainerExit, ContainerRef } from "../../../src/services/ContainerRuntime.ts"

const install = Schema.decodeSync(InstallId)("install1")
const ref: ContainerRef = {
  labels: {
    install,
    group: Schema.decodeSync(GroupId)("g"),
    session: Schema.decodeSync(SessionId)("s"),
    incarnation: 1,
  },
  handle: "abc",
}
const MEMORY = 256 * 1024 * 1024

/** An engine whose one container was killed; `events` is what it tells of it. */
const killedContainer = () => {
  const events = new PassThrough()
  const lines = new PassThrough()
  lines.end()
  const answers = {
    "the container can't be inspected": {
      State: {
        Status: "exited",
        Running: false,
        Paused: false,
        OOMKilled: false,
        ExitCode: 137,
        FinishedAt: "2026-05-01T10:00:10.000Z",
      },
      HostConfig: { Memory: MEMORY },
    },
    "the container's output can't be read": Buffer.alloc(0),
  } as Readonly<Record<string, unknown>>
  const answer = <A>(what: string) => Effect.sync(() => answers[what] as A)
  const engine: DockerEngine["Service"] = {
    calls: () => 0,
    ask: answer,
    change: answer,
    stream: (what) => Effect.succeed((what.includes("events") ? events : lines) as Readable),
  }
  const tell = (Action: string) =>
    events.write(
      `${JSON.stringify({ Action, time: Date.parse("2026-05-01T10:00:10.000Z") / 1_000, Actor: { ID: ref.handle } })}\n`,
    )
  return { engine: Layer.succeed(DockerEngine, engine), tell }
}

/** The exit that is told when `meanwhile` happens after the engine has said that it is over. */
const exitWith = (meanwhile: (tell: (action: string) => void) => void) => {
  const { engine, tell } = killedContainer()
  return Effect.gen(function* () {
    const told = yield* Deferred.make<ContainerExit>()
    const watcher = yield* makeDockerWatcher(install, (event) => {
      if (event._tag === "Exited") Deferred.doneUnsafe(told, Effect.succeed(event.exit))
    })
    yield* watcher.watch(ref)
    meanwhile(tell)
    // The event is a matter of the host's streams, not of the test's clock.
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(() => setImmediate(resolve))))
    yield* TestClock.adjust("1 second")
    return yield* Deferred.await(told)
  }).pipe(Effect.provide(engine))
}

describe("a container that was killed", () => {
  it.effect("is told as out of memory, with its limit, though the engine says so only after the end", () =>
    Effect.gen(function* () {
      const exit = yield* exitWith((tell) => tell("oom"))
      assert.isTrue(exit.oomKilled)
      assert.strictEqual(exit.memoryLimitBytes, MEMORY)
    }),
  )

  it.effect("is told as killed when nobody says more", () =>
    Effect.gen(function* () {
      const exit = yield* exitWith(() => {})
      assert.isFalse(exit.oomKilled)
      assert.isUndefined(exit.memoryLimitBytes)
    }),
  )
})
