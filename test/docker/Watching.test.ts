/**
 * How a daemon learns of what containers do: by the engine's events, by the end of their output, by listing; and what it makes of
 * each end. A proxy in front of the engine takes one of these away at a time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { engineEventOf } from "../../src/layers/docker/DockerEvents.ts"
import { engineExit, type EngineState, goneExit, heardNothing } from "../../src/layers/docker/DockerExit.ts"
import type { ContainerRef } from "../../src/services/ContainerRuntime.ts"
import { record } from "../contract/ContainerRuntime.contract.ts"
import { baseImage, dockerMissing, type DockerWorld, makeDockerWorld } from "../support/DockerWorld.ts"
import { type EngineProxy, engineSocket, makeEngineProxy } from "../support/EngineProxy.ts"
import { patience } from "../support/Patience.ts"

const EVENTS = "GET /events"
const START = "POST /containers/{id}/start"
const LINES = "GET /containers/{id}/logs follow"

const test = (
  title: string,
  body: (world: DockerWorld) => Effect.Effect<void, unknown, Scope.Scope>,
  timeout = patience(30_000),
): void => it.live(title, () => Effect.scoped(Effect.flatMap(makeDockerWorld, body)), timeout)

/** A daemon whose calls pass a proxy. */
const behindProxy = Effect.fnUntraced(function* (world: DockerWorld) {
  const proxy = yield* makeEngineProxy(engineSocket)
  const open = world.openWith({ socketPath: proxy.socketPath, callMs: 2_000, changeMs: 5_000 })
  return { proxy, open }
})

const asked = (proxy: EngineProxy, request: string): number =>
  proxy.requests.filter((name) => name === request).length

const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!condition()) yield* Effect.sleep("5 millis")
  }).pipe(
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
  )

const state = (more: Partial<EngineState>): EngineState => ({
  Status: "exited",
  Running: false,
  Paused: false,
  OOMKilled: false,
  ExitCode: 0,
  StartedAt: "2026-05-01T10:00:00.000000001Z",
  FinishedAt: "2026-05-01T10:00:10.5Z",
  ...more,
})
const ENDED = Date.parse("2026-05-01T10:00:10.500Z")

describe("what an engine's last word means", () => {
  it("137 is the memory's only where the engine says so and the container ended by it", () => {
    const killed = state({ ExitCode: 137 })
    assert.isFalse(engineExit(killed, heardNothing).oomKilled)
    assert.isTrue(engineExit({ ...killed, OOMKilled: true }, heardNothing).oomKilled)
    // An old kill of a tool leaves the engine's flag for ever.
    assert.isFalse(
      engineExit({ ...killed, OOMKilled: true }, { ...heardNothing, oomAt: ENDED - 5_001 }).oomKilled,
    )
    assert.isTrue(engineExit(killed, { ...heardNothing, oomAt: ENDED - 5_000 }).oomKilled)
    assert.isFalse(engineExit(state({ ExitCode: 1, OOMKilled: true }), heardNothing).oomKilled)
  })

  it("a container that somebody had stopped, or that ended while the engine was away, is not blamed for it", () => {
    const killed = state({ ExitCode: 137 })
    assert.isUndefined(engineExit(killed, heardNothing).stoppedBy)
    assert.strictEqual(engineExit(killed, { ...heardNothing, askedAt: ENDED - 15_000 }).stoppedBy, "engine")
    assert.isUndefined(engineExit(killed, { ...heardNothing, askedAt: ENDED - 60_001 }).stoppedBy)
    const silent = (from: number, to: number | null) =>
      engineExit(killed, { ...heardNothing, silence: { from, to } }).stoppedBy
    assert.strictEqual(silent(ENDED - 1, null), "engine")
    assert.strictEqual(silent(ENDED - 10, ENDED), "engine")
    assert.isUndefined(silent(ENDED - 10, ENDED - 1))
    assert.isUndefined(silent(ENDED + 1, null))
    // Memory that was exceeded was exceeded, whoever was away.
    const greedy = { ...killed, OOMKilled: true }
    assert.isUndefined(
      engineExit(greedy, { ...heardNothing, silence: { from: ENDED - 10, to: null } }).stoppedBy,
    )
  })

  it("an exit code above 128 names its signal, and what never started has no exit", () => {
    assert.strictEqual(engineExit(state({ ExitCode: 143 }), heardNothing).signal, "SIGTERM")
    assert.strictEqual(engineExit(state({ ExitCode: 139 }), heardNothing).signal, "SIGSEGV")
    assert.isNull(engineExit(state({ ExitCode: 125 }), heardNothing).signal)
    assert.deepStrictEqual(
      engineExit(state({ Status: "created", FinishedAt: "0001-01-01T00:00:00Z" }), heardNothing),
      { exitCode: null, signal: null, oomKilled: false, at: null },
    )
  })

  it("of a container that is gone its last event tells, or nobody", () => {
    assert.deepStrictEqual(goneExit({ exitCode: 137, at: 5 }, heardNothing), {
      exitCode: 137,
      signal: "SIGKILL",
      oomKilled: false,
      at: 5,
    })
    assert.isNull(goneExit(null, heardNothing).exitCode)
  })

  it("events are read as the engine writes them, and anything else is nothing", () => {
    const event = (Action: string, Attributes: Record<string, string>) =>
      JSON.stringify({
        Type: "container",
        Action,
        Actor: { ID: "abc", Attributes },
        time: 7,
        timeNano: 7_250_000_000,
      })
    assert.deepStrictEqual(engineEventOf(event("die", { exitCode: "3" })), {
      _tag: "Died",
      id: "abc",
      at: 7_250,
      exitCode: 3,
    })
    assert.deepStrictEqual(engineEventOf(event("oom", {})), { _tag: "OutOfMemory", id: "abc", at: 7_250 })
    assert.deepStrictEqual(engineEventOf(event("kill", { signal: "15" })), {
      _tag: "Asked",
      id: "abc",
      at: 7_250,
    })
    assert.isUndefined(engineEventOf(event("kill", { signal: "9" })))
    assert.isUndefined(engineEventOf(event("exec_start: x", {})))
    for (const line of ["", "null", "{", "[]", '{"Action":"die"}']) assert.isUndefined(engineEventOf(line))
  })
})

describe.skipIf(dockerMissing !== null)("watching a real engine", () => {
  test("a death is told by its event alone: no listing, no output stream", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      proxy.treat((request) => (request === LINES ? "deaf" : "pass"))
      const runtime = yield* open(world.install)
      const events = yield* record(runtime)
      yield* until("events", () => asked(proxy, EVENTS) === 1)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* world.killOutside(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
      assert.strictEqual(asked(proxy, "GET /containers/json"), 0)
    }))

  test("a death is told by the end of its output alone: no listing, no events", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      proxy.treat((request) => (request === EVENTS ? "deaf" : "pass"))
      const runtime = yield* open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      yield* world.killOutside(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
      assert.strictEqual(asked(proxy, "GET /containers/json"), 0)
    }))

  test("a death that neither tells is found by the next listing, and then told", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      proxy.treat((request) => (request === EVENTS || request === LINES ? "deaf" : "pass"))
      const runtime = yield* open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* world.killOutside(ref)
      assert.deepStrictEqual(events.of(ref), [])
      const [status] = yield* runtime.list
      assert.strictEqual(status?._tag === "Exited" ? status.exit.exitCode : null, 137)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
    }))

  test("a death before the events are heard is told once they are: no listing, no output stream", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      proxy.treat((request) => (request === LINES || request === EVENTS ? "hang" : "pass"))
      const runtime = yield* open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "exits7"))
      yield* Effect.promise(() => world.engine.docker.getContainer(ref.handle).wait())
      proxy.treat((request) => (request === LINES ? "hang" : "pass"))
      proxy.cutAll()
      assert.strictEqual((yield* events.exit(ref)).exitCode, 7)
      assert.strictEqual(asked(proxy, "GET /containers/json"), 0)
    }))

  test("an event stream that breaks is heard again, the gap is told once, and deaths in it are told too", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      // Without their output, so that only events can tell.
      proxy.treat((request) => (request === LINES ? "deaf" : "pass"))
      const runtime = yield* open(world.install)
      const events = yield* record(runtime)
      yield* until("events", () => asked(proxy, EVENTS) === 1)
      const lives = yield* runtime.start(world.spec("lives", "obeys"))
      const dies = yield* runtime.start(world.spec("dies", "obeys"))
      proxy.treat((request) => (request === EVENTS ? "cut" : request === LINES ? "deaf" : "pass"))
      proxy.cutAll()
      yield* until("a new attempt", () => asked(proxy, EVENTS) >= 3)
      yield* world.killOutside(dies)
      assert.deepStrictEqual(
        events.seen.filter((event) => event._tag !== "Line"),
        [],
      )
      proxy.treat((request) => (request === LINES ? "deaf" : "pass"))
      const exit = yield* events.exit(dies)
      assert.strictEqual(exit.exitCode, 137)
      assert.strictEqual(events.seen.filter((event) => event._tag === "Gap").length, 1)
      // And the new stream is heard.
      yield* world.killOutside(lives)
      yield* events.exit(lives)
      assert.strictEqual(events.seen.filter((event) => event._tag === "Exited").length, 2)
    }))

  test("an event stream that ends at once again and again is not asked for in a hurry", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      proxy.treat((request) => (request === EVENTS ? "drop" : "pass"))
      yield* open(world.install)
      yield* until("some attempts", () => asked(proxy, EVENTS) >= 4)
      yield* Effect.sleep("500 millis")
      // 50, 100, 200, 400, 800 ms … apart.
      assert.isAtMost(asked(proxy, EVENTS), 7)
    }))

  test("one that somebody removes with force is told with its exit, not as an unknown one", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      world.docker("rm", "-f", ref.handle)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 137)
      assert.strictEqual(exit.signal, "SIGKILL")
      assert.deepStrictEqual(yield* runtime.list, [])
      yield* runtime.remove(ref)
    }))

  test("a stop by somebody else through the engine is told apart from a kill and from one of ours", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const start = Effect.fnUntraced(function* (session: string) {
        const ref = yield* runtime.start(world.spec(session, "obeys"))
        yield* events.line(ref, "ready")
        return ref
      })
      const theirs = yield* start("theirs")
      const ours = yield* start("ours")
      const killed = yield* start("killed")
      world.docker("stop", theirs.handle)
      yield* runtime.stop(ours)
      yield* world.killOutside(killed)
      const told = (ref: ContainerRef) =>
        Effect.map(events.exit(ref), ({ exitCode, oomKilled, stoppedBy }) => [exitCode, oomKilled, stoppedBy])
      assert.deepStrictEqual(yield* told(theirs), [0, false, "engine"])
      assert.deepStrictEqual(yield* told(ours), [0, false, undefined])
      assert.deepStrictEqual(yield* told(killed), [137, false, undefined])
    }))

  test("one that is paused lives, and its end after that is told", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      world.docker("pause", ref.handle)
      assert.strictEqual((yield* runtime.list)[0]?._tag, "Running")
      yield* runtime.kill(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
    }))

  test("a daemon that starts adopts what runs, undisturbed, and hears what it says from then on", (world) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(world.open(world.install), scope)
      const before = yield* record(first)
      const ref = yield* first.start(
        world.program("one", [
          "node",
          "-e",
          `let n = 0; setInterval(() => console.log("beat " + ++n), 50); process.on("SIGTERM", () => process.exit(4))`,
        ]),
      )
      yield* before.line(ref, "beat 2")
      yield* Scope.close(scope, Exit.void)

      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      yield* runtime.adopt(ref)
      const first_ = Number((yield* events.firstLine(ref)).replace("beat ", ""))
      yield* events.line(ref, `beat ${first_ + 30}`)
      const { State } = yield* Effect.promise(() => world.engine.docker.getContainer(ref.handle).inspect())
      assert.isTrue(State.Running)
      yield* runtime.stop(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 4)
    }))

  test("what another install or anybody else runs is not listed, adopted, signalled or removed", (world) =>
    Effect.gen(function* () {
      const ours = yield* world.open(world.install)
      const theirs = yield* world.open(world.otherInstall)
      const events = yield* record(theirs)
      const ref = yield* theirs.start(world.spec("one", "obeys", { install: world.otherInstall }))
      yield* events.line(ref, "ready")
      assert.deepStrictEqual(yield* ours.list, [])
      yield* ours.stop(ref)
      yield* ours.kill(ref)
      assert.strictEqual((yield* Effect.flip(ours.remove(ref)))._tag, "RuntimeUnavailable")
      assert.strictEqual((yield* theirs.list)[0]?._tag, "Running")

      // Nobody's at all, with our name: it keeps it, and is left alone.
      const spec = world.spec("two", "obeys")
      const stranger = world
        .docker(
          "run",
          "-d",
          "--network",
          "none",
          "--name",
          spec.name,
          "--label",
          `lamplighter-test=${world.install}`,
          baseImage,
          "sleep",
          "60",
        )
        .trim()
      yield* Effect.addFinalizer(() => Effect.sync(() => world.docker("rm", "-f", stranger)))
      const refused = yield* Effect.flip(ours.start(spec))
      assert.strictEqual(refused.reason, "NameTaken")
      assert.deepStrictEqual(yield* ours.list, [])
      assert.strictEqual(
        world.docker("inspect", "-f", "{{.State.Running}} {{.Name}}", stranger).trim(),
        `true /${spec.name}`,
      )
    }))

  test("labels that are not exactly ours are nobody's of ours", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const label = (name: string, value: string) => ["--label", `io.lamplighter.${name}=${value}`]
      const odd = world
        .docker(
          "run",
          "-d",
          "--network",
          "none",
          ...label("install", world.install),
          ...label("group", "family"),
          ...label("session", "../../etc"),
          ...label("incarnation", "1e3"),
          baseImage,
          "sleep",
          "60",
        )
        .trim()
      assert.deepStrictEqual(yield* runtime.list, [])
      assert.strictEqual(world.docker("inspect", "-f", "{{.State.Running}}", odd).trim(), "true")
    }))

  test("two daemons that start one session at the same instant make one container", (world) =>
    Effect.gen(function* () {
      const one = yield* world.open(world.install)
      const two = yield* world.open(world.install)
      const races = 8
      for (let race = 0; race < races; race++) {
        const session = `race-${race}`
        const results = yield* Effect.all(
          [
            Effect.result(one.start(world.spec(session, "obeys", { incarnation: 1 }))),
            Effect.result(two.start(world.spec(session, "obeys", { incarnation: 2 }))),
          ],
          { concurrency: "unbounded" },
        )
        const started = results.flatMap((result) => (result._tag === "Success" ? [result.success] : []))
        for (const result of results)
          if (result._tag === "Failure") assert.strictEqual(result.failure.reason, "NameTaken")
        const listed = (yield* one.list).filter(({ ref }) => ref.labels.session === session)
        assert.deepStrictEqual(
          listed.map((status) => [status._tag, status.ref]),
          started.map((ref) => ["Running", ref]),
        )
        assert.strictEqual(started.length, 1)
      }
    }))

  test("a daemon that comes between another's create and start takes its place, and the other's never runs", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      const slow = yield* open(world.install)
      const quick = yield* world.open(world.install)
      proxy.treat((request) => (request === START ? 1_000 : "pass"))
      const waiting = yield* Effect.forkChild(
        Effect.result(slow.start(world.spec("one", "obeys", { incarnation: 1 }))),
        { startImmediately: true },
      )
      yield* until("the other's start", () => asked(proxy, START) === 1)
      const ref = yield* quick.start(world.spec("one", "obeys", { incarnation: 2 }))
      const result = yield* Fiber.join(waiting)
      assert.strictEqual(result._tag === "Failure" ? result.failure.reason : result._tag, "NameTaken")
      assert.deepStrictEqual(
        (yield* quick.list).map((status) => [status._tag, status.ref]),
        [["Running", ref]],
      )
    }))

  test("a container that was made and never started gives way to the next start, for good", (world) =>
    Effect.gen(function* () {
      const { open, proxy } = yield* behindProxy(world)
      // The daemon dies between the two calls of a start.
      proxy.treat((request) => (request === START ? "hang" : "pass"))
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(
        world.openWith({ socketPath: proxy.socketPath, changeMs: 500, callMs: 500 })(world.install),
        scope,
      )
      const lost = yield* Effect.flip(first.start(world.spec("one", "obeys")))
      assert.strictEqual(lost.reason, "Ambiguous")
      yield* Scope.close(scope, Exit.void)
      proxy.treat(() => "pass")

      const runtime = yield* open(world.install)
      const [made] = yield* runtime.list
      assert.deepStrictEqual(made?._tag === "Exited" ? made.exit : null, {
        exitCode: null,
        signal: null,
        oomKilled: false,
        at: null,
      })
      const ref = yield* runtime.start(world.spec("one", "obeys", { incarnation: 2 }))
      assert.deepStrictEqual(
        (yield* runtime.list).map((status) => status.ref),
        [ref],
      )
      const late = world.engine.docker.getContainer(made?.ref.handle ?? "").start()
      assert.strictEqual((yield* Effect.flip(Effect.tryPromise(() => late)))._tag, "UnknownError")
    }))
})
