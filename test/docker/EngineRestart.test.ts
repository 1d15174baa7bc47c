/**
 * An engine that is really stopped, killed, started again, or out of disk, under a daemon that goes on. It is one of the test's own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { rmSync, statfsSync } from "node:fs"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { record } from "../contract/ContainerRuntime.contract.ts"
import { type DockerWorld, makeDockerWorld } from "../support/DockerWorld.ts"
import {
  makePrivateEngine,
  type PrivateEngine,
  type PrivateEngineOptions,
  privateEngineMissing,
} from "../support/PrivateEngine.ts"

const test = (
  title: string,
  options: PrivateEngineOptions,
  body: (world: DockerWorld, engine: PrivateEngine) => Effect.Effect<void, unknown, Scope.Scope>,
): void =>
  it.live(
    title,
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const world = yield* makeDockerWorld
          const engine = yield* makePrivateEngine(options)
          yield* body(world, engine)
        }),
      ),
    120_000,
  )

const daemon = Effect.fnUntraced(function* (world: DockerWorld, engine: PrivateEngine) {
  const runtime = yield* world.openWith({ socketPath: engine.socketPath, callMs: 5_000, changeMs: 20_000 })(
    world.install,
  )
  return { runtime, events: yield* record(runtime) }
})

describe.skipIf(privateEngineMissing !== null)("an engine that is restarted", () => {
  test(
    "stopped in good order: agents hear SIGTERM, and no end is the agent's",
    { containersOnRestart: "stop" },
    (world, engine) =>
      Effect.gen(function* () {
        const { events, runtime } = yield* daemon(world, engine)
        const obeys = yield* runtime.start(world.spec("obeys", "obeys"))
        const deaf = yield* runtime.start(world.spec("deaf", "deaf"))
        const crashed = yield* runtime.start(world.spec("crashed", "exits7"))
        yield* events.line(obeys, "ready")
        yield* events.line(deaf, "ready")
        assert.isUndefined((yield* events.exit(crashed)).stoppedBy)
        yield* engine.stop
        assert.strictEqual((yield* Effect.flip(runtime.list))._tag, "RuntimeUnavailable")
        assert.strictEqual(
          (yield* Effect.flip(runtime.start(world.spec("next", "obeys")))).reason,
          "RuntimeDown",
        )
        yield* engine.start

        const gentle = yield* events.exit(obeys)
        const killed = yield* events.exit(deaf)
        assert.deepStrictEqual([gentle.exitCode, gentle.stoppedBy], [0, "engine"])
        assert.deepStrictEqual([killed.exitCode, killed.stoppedBy, killed.oomKilled], [137, "engine", false])
        yield* events.gap
        assert.deepStrictEqual(
          (yield* runtime.list).map((status) => status._tag),
          ["Exited", "Exited", "Exited"],
        )
        assert.include((yield* runtime.output(deaf, 1_000)).stdout, "ignored")
        // Those that are over give way, and the next life of the session is like any other.
        const again = yield* runtime.start(world.spec("deaf", "obeys", { incarnation: 2 }))
        yield* events.line(again, "ready")
        yield* runtime.stop(again)
        const own = yield* events.exit(again)
        assert.deepStrictEqual([own.exitCode, own.stoppedBy], [0, undefined])
        assert.strictEqual(events.of(obeys).filter((event) => event._tag === "Exited").length, 1)
      }),
  )

  test(
    "killed, and its containers end as it starts again: that is not theirs either",
    { containersOnRestart: "stop" },
    (world, engine) =>
      Effect.gen(function* () {
        const { events, runtime } = yield* daemon(world, engine)
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        yield* events.line(ref, "ready")
        yield* engine.kill
        assert.strictEqual((yield* Effect.flip(runtime.list))._tag, "RuntimeUnavailable")
        assert.isFalse(events.of(ref).some((event) => event._tag === "Exited"))
        yield* engine.start
        const exit = yield* events.exit(ref)
        assert.strictEqual(exit.stoppedBy, "engine")
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag === "Exited" ? status.exit.stoppedBy : null, "engine")
      }),
  )

  test(
    "killed and told to keep its containers: they are heard again and work on",
    { containersOnRestart: "keep" },
    (world, engine) =>
      Effect.gen(function* () {
        const { events, runtime } = yield* daemon(world, engine)
        const ref = yield* runtime.start(world.spec("one", "deaf"))
        yield* events.line(ref, "ready")
        yield* engine.kill
        yield* engine.start
        yield* events.gap
        assert.strictEqual((yield* runtime.list)[0]?._tag, "Running")
        yield* runtime.stop(ref)
        yield* events.line(ref, "ignored")
        yield* runtime.kill(ref)
        const exit = yield* events.exit(ref)
        assert.deepStrictEqual([exit.exitCode, exit.stoppedBy], [137, undefined])
        assert.strictEqual(events.of(ref).filter((event) => event._tag === "Exited").length, 1)
      }),
  )

  test(
    "out of disk: a start waits for room as for an engine that is down",
    { containersOnRestart: "stop" },
    (world, engine) =>
      Effect.gen(function* () {
        const { events, runtime } = yield* daemon(world, engine)
        const ballast = join(engine.dataDir, "ballast")
        const { bavail, bsize } = statfsSync(engine.dataDir)
        execFileSync("fallocate", ["-l", String(bavail * bsize), ballast])
        const refused = yield* Effect.flip(runtime.start(world.spec("one", "obeys")))
        assert.strictEqual(refused.reason, "RuntimeDown")
        assert.match(refused.message, /no space left/)
        rmSync(ballast)
        assert.deepStrictEqual(yield* runtime.list, [])
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        yield* events.line(ref, "ready")
      }),
  )
})
