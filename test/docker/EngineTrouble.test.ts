/**
 * An engine that is down, slow, silent, or cuts what it was asked: every call ends within its deadline with the error that says
 * what is known, nothing is believed dead for want of an answer, and all goes on by itself once the engine does.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Scope } from "effect"
import type { ContainerRef } from "../../src/services/ContainerRuntime.ts"
import { record } from "../contract/ContainerRuntime.contract.ts"
import { dockerMissing, type DockerWorld, makeDockerWorld } from "../support/DockerWorld.ts"
import { engineSocket, makeEngineProxy } from "../support/EngineProxy.ts"
import { patience } from "../support/Patience.ts"

const CREATE = "POST /containers/create"
const START = "POST /containers/{id}/start"
const LINES = "GET /containers/{id}/logs follow"
const KILL = "POST /containers/{id}/kill"
const LIST = "GET /containers/json"
const EVENTS = "GET /events"

/** Longer than an engine on a busy machine takes for what it does. */
const CALL_MS = 1_500
const CHANGE_MS = 3_000
/** What is held to a deadline ends in it or nearly so, and never waits for the engine. */
const SLACK_MS = 8_000

const test = (
  title: string,
  body: (world: DockerWorld) => Effect.Effect<void, unknown, Scope.Scope>,
  timeout = patience(30_000),
): void => it.live(title, () => Effect.scoped(Effect.flatMap(makeDockerWorld, body)), timeout)

/** A daemon behind a proxy, that has asked already what it asks once in its life. */
const daemon = Effect.fnUntraced(function* (world: DockerWorld) {
  const proxy = yield* makeEngineProxy(engineSocket)
  const runtime = yield* world.openWith({
    socketPath: proxy.socketPath,
    callMs: CALL_MS,
    changeMs: CHANGE_MS,
  })(world.install)
  const events = yield* record(runtime)
  const warm = yield* runtime.start(world.spec("warm", "obeys"))
  yield* events.line(warm, "ready")
  yield* runtime.kill(warm)
  yield* events.exit(warm)
  yield* runtime.remove(warm)
  proxy.forget()
  return { proxy, runtime, events }
})

const withinMs = <A, E>(milliseconds: number, effect: Effect.Effect<A, E>) =>
  effect.pipe(
    Effect.timeoutOrElse({
      duration: milliseconds,
      orElse: () => Effect.die(new Error(`it waits for longer than ${milliseconds} ms`)),
    }),
  )

const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!condition()) yield* Effect.sleep("5 millis")
  }).pipe(
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
  )

const running = (world: DockerWorld, ref: ContainerRef) =>
  Effect.promise(async () => (await world.engine.docker.getContainer(ref.handle).inspect()).State.Running)

describe.skipIf(dockerMissing !== null)("an engine in trouble", () => {
  test("on the common path a start asks the engine for exactly two things", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      for (const session of ["one", "two"]) {
        proxy.forget()
        const ref = yield* runtime.start(world.spec(session, "obeys"))
        assert.deepStrictEqual(
          proxy.requests.filter((request) => request !== LINES),
          [CREATE, START],
        )
        yield* events.line(ref, "ready")
        // Listening to it, from then on, is one more, whatever it says.
        assert.deepStrictEqual(proxy.requests, [CREATE, START, LINES])
        proxy.forget()
        yield* runtime.stop(ref)
        yield* events.exit(ref)
        assert.deepStrictEqual(
          proxy.requests.filter((request) => request === KILL),
          [KILL],
        )
      }
    }))

  test("the engine's own count says the same: create and start, and the line to hear it by", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.openWith({ engine: world.engine })(world.install)
      const events = yield* record(runtime)
      yield* events.line(yield* runtime.start(world.spec("warm", "obeys")), "ready")
      const before = world.engine.calls()
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      assert.strictEqual(world.engine.calls() - before, 3)
    }))

  test("an engine that is down at the daemon's start is no reason to end, and is used once it is up", (world) =>
    Effect.gen(function* () {
      const proxy = yield* makeEngineProxy(engineSocket)
      yield* proxy.refuse
      const runtime = yield* world.openWith({ socketPath: proxy.socketPath, callMs: CALL_MS })(world.install)
      const events = yield* record(runtime)
      const refused = yield* withinMs(SLACK_MS, Effect.flip(runtime.start(world.spec("one", "obeys"))))
      assert.strictEqual(refused.reason, "RuntimeDown")
      assert.include(refused.message, "is the engine running")
      assert.strictEqual((yield* Effect.flip(runtime.list))._tag, "RuntimeUnavailable")

      yield* proxy.listen
      // Whoever waits is told that there is something to look at.
      yield* events.gap
      assert.deepStrictEqual(yield* runtime.list, [])
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      yield* world.killOutside(ref)
      yield* events.exit(ref)
    }))

  test("an engine that goes away and comes back finds its containers undisturbed and watched", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      const lives = yield* runtime.start(world.spec("lives", "deaf"))
      const dies = yield* runtime.start(world.spec("dies", "obeys"))
      yield* events.line(lives, "ready")
      yield* events.line(dies, "ready")
      yield* proxy.refuse
      // Unknown is not dead: no exit, and every question is answered with an error.
      assert.strictEqual((yield* Effect.flip(runtime.list))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* Effect.flip(runtime.stop(lives)))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* Effect.flip(runtime.kill(lives)))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* Effect.flip(runtime.output(lives, 100)))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* Effect.flip(runtime.remove(lives)))._tag, "RuntimeUnavailable")
      yield* world.killOutside(dies)
      assert.isFalse(
        events.seen.some(
          (event) =>
            event._tag === "Exited" && event.ref.handle !== dies.handle && event.ref.handle === lives.handle,
        ),
      )
      assert.isTrue(yield* running(world, lives))

      yield* proxy.listen
      const exit = yield* events.exit(dies)
      // In the gap: it may have been the engine, so that nobody is blamed for it.
      assert.strictEqual(exit.exitCode, 137)
      assert.strictEqual(exit.stoppedBy, "engine")
      yield* events.gap
      // The other is heard again: what it says now arrives.
      yield* runtime.stop(lives)
      yield* events.line(lives, "ignored")
      yield* runtime.kill(lives)
      assert.strictEqual((yield* events.exit(lives)).exitCode, 137)
    }))

  test("a create that never answers ends in its deadline, and a listing tells that there is nothing", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      proxy.treat((request) => (request === CREATE ? "hang" : "pass"))
      const error = yield* withinMs(
        CHANGE_MS + SLACK_MS,
        Effect.flip(runtime.start(world.spec("one", "obeys"))),
      )
      assert.strictEqual(error.reason, "Ambiguous")
      assert.deepStrictEqual(yield* runtime.list, [])
      proxy.treat(() => "pass")
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
    }))

  for (const how of ["deaf", "drop"] as const) {
    test(`a start that was done and whose answer is lost (${how}) is told as ambiguous, and its container is found`, (world) =>
      Effect.gen(function* () {
        const { events, proxy, runtime } = yield* daemon(world)
        proxy.treat((request) => (request === START ? how : "pass"))
        const spec = world.spec("one", "obeys")
        const error = yield* withinMs(CHANGE_MS + SLACK_MS, Effect.flip(runtime.start(spec)))
        assert.strictEqual(error.reason, "Ambiguous")
        proxy.treat(() => "pass")
        let listed = yield* runtime.list
        while (listed[0]?._tag !== "Running") listed = yield* runtime.list
        const [status] = listed
        assert.deepStrictEqual(status.ref.labels, spec.labels)
        // A second one is refused as long as that one runs.
        const second = yield* Effect.flip(runtime.start(world.spec("one", "obeys", { incarnation: 2 })))
        assert.strictEqual(second.reason, "NameTaken")
        yield* runtime.adopt(status.ref)
        yield* events.line(status.ref, "ready")
        yield* runtime.kill(status.ref)
        yield* events.exit(status.ref)
        assert.strictEqual((yield* runtime.list).length, 1)
      }))

    test(`a create that was done and whose answer is lost (${how}) holds the name only until the next start`, (world) =>
      Effect.gen(function* () {
        const { events, proxy, runtime } = yield* daemon(world)
        proxy.treat((request) => (request === CREATE ? how : "pass"))
        const error = yield* withinMs(
          CHANGE_MS + SLACK_MS,
          Effect.flip(runtime.start(world.spec("one", "obeys"))),
        )
        assert.strictEqual(error.reason, "Ambiguous")
        proxy.treat(() => "pass")
        let listed = yield* runtime.list
        while (listed.length === 0) listed = yield* runtime.list
        assert.strictEqual(listed[0]?._tag, "Exited")
        const ref = yield* runtime.start(world.spec("one", "obeys", { incarnation: 2 }))
        yield* events.line(ref, "ready")
        assert.deepStrictEqual(
          (yield* runtime.list).map((status) => status.ref),
          [ref],
        )
      }))
  }

  test("an engine that answers nothing at all fails each call in its deadline, and the daemon goes on meanwhile", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      proxy.treat(() => "hang")
      const began = yield* Clock.currentTimeMillis
      let ticks = 0
      const clock = yield* Effect.forkChild(
        Effect.forever(Effect.sync(() => (ticks += 1)).pipe(Effect.andThen(Effect.sleep("10 millis")))),
      )
      const errors = yield* withinMs(
        CHANGE_MS + SLACK_MS,
        Effect.all(
          [
            Effect.flip(runtime.start(world.spec("two", "obeys"))),
            Effect.flip(runtime.list),
            Effect.flip(runtime.stop(ref)),
            Effect.flip(runtime.kill(ref)),
            Effect.flip(runtime.output(ref, 100)),
            Effect.flip(runtime.remove(ref)),
          ],
          { concurrency: "unbounded" },
        ),
      )
      assert.deepStrictEqual(
        errors.map((error) => (error._tag === "StartError" ? error.reason : error._tag)),
        ["Ambiguous", ...Array.from({ length: 5 }, () => "RuntimeUnavailable")],
      )
      assert.isAtLeast((yield* Clock.currentTimeMillis) - began, CALL_MS)
      // No call blocks the process: time went on in it.
      assert.isAbove(ticks, 5)
      clock.interruptUnsafe()
      assert.isTrue(yield* running(world, ref))
      assert.isFalse(events.of(ref).some((event) => event._tag === "Exited"))
      proxy.treat(() => "pass")
      yield* runtime.stop(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 0)
    }))

  test("an engine that is only slow is waited for", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      proxy.treat((request) => (request === CREATE || request === START ? CHANGE_MS / 4 : 20))
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      assert.strictEqual((yield* runtime.list)[0]?._tag, "Running")
    }))

  test("streams that break all the time lose no exit and tell it once", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      const ref = yield* runtime.start(world.spec("one", "deaf"))
      yield* events.line(ref, "ready")
      for (let cut = 0; cut < 5; cut++) {
        proxy.forget()
        proxy.cutAll()
        yield* until(
          "both are heard again",
          () => proxy.requests.includes(EVENTS) && proxy.requests.includes(LINES),
        )
      }
      yield* runtime.kill(ref)
      proxy.cutAll()
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
      yield* runtime.list
      assert.strictEqual(events.of(ref).filter((event) => event._tag === "Exited").length, 1)
    }))

  test("a signal that the engine did not answer is an error, also where it arrived; repeating it is harmless", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      const ref = yield* runtime.start(world.spec("one", "deaf"))
      yield* events.line(ref, "ready")
      proxy.treat((request) => (request === KILL ? "drop" : "pass"))
      assert.strictEqual((yield* Effect.flip(runtime.kill(ref)))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
      proxy.treat(() => "pass")
      yield* runtime.kill(ref)
      yield* runtime.stop(ref)
    }))

  test("a listing that is cut in the middle is no listing", (world) =>
    Effect.gen(function* () {
      const { events, proxy, runtime } = yield* daemon(world)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      for (const how of ["drop", "cut", "hang", "deaf"] as const) {
        proxy.treat((request) => (request === LIST ? how : "pass"))
        assert.strictEqual((yield* Effect.flip(runtime.list))._tag, "RuntimeUnavailable")
      }
      proxy.treat(() => "pass")
      assert.strictEqual((yield* runtime.list).length, 1)
    }))
})
