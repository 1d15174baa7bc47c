/**
 * How a container of a real engine is ended, and how much of what it says is kept, however much that is and however it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { readdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import type { ContainerRef } from "../../src/services/ContainerRuntime.ts"
import { record } from "../contract/ContainerRuntime.contract.ts"
import { baseImage, dockerMissing, type DockerWorld, makeDockerWorld } from "../support/DockerWorld.ts"
import { patience } from "../support/Patience.ts"

const KIB = 1024

const test = (
  title: string,
  body: (world: DockerWorld) => Effect.Effect<void, unknown, Scope.Scope>,
  timeout = patience(30_000),
): void => it.live(title, () => Effect.scoped(Effect.flatMap(makeDockerWorld, body)), timeout)

const inspect = (world: DockerWorld, ref: ContainerRef) =>
  Effect.promise(() => world.engine.docker.getContainer(ref.handle).inspect())

const tells = `process.on("SIGTERM", () => { console.log("heard SIGTERM"); process.exit(0) })`
const stays = `setInterval(() => {}, 1000); console.log("ready", process.pid)`

describe.skipIf(dockerMissing !== null)("the end of a container on a real engine", () => {
  test("SIGTERM reaches the agent itself: an init stands above it, and no shell between", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      const { Titles, Processes } = yield* Effect.promise(() =>
        world.engine.docker.getContainer(ref.handle).top({ ps_args: "-o pid,ppid,args" }),
      )
      assert.deepStrictEqual(Titles, ["PID", "PPID", "COMMAND"])
      const [init, agent] = Processes as ReadonlyArray<ReadonlyArray<string>>
      assert.strictEqual(Processes.length, 2)
      assert.match(init?.[2] ?? "", /docker-init/)
      assert.strictEqual(agent?.[1], init?.[0])
      assert.strictEqual(agent?.[2], "node /app/src/agent.mjs")
      yield* runtime.stop(ref)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 0)
      assert.isNull(exit.signal)
      assert.isUndefined(exit.stoppedBy)
    }))

  test("SIGTERM alone ends nobody who will not; SIGKILL then does", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "deaf"))
      yield* events.line(ref, "ready")
      yield* runtime.stop(ref)
      yield* events.line(ref, "ignored")
      assert.isTrue((yield* inspect(world, ref)).State.Running)
      yield* runtime.kill(ref)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 137)
      assert.strictEqual(exit.signal, "SIGKILL")
      assert.isFalse(exit.oomKilled)
      // Ours, so that the engine is not blamed for it.
      assert.isUndefined(exit.stoppedBy)
    }))

  test("who does not handle SIGTERM ends by it, because the first process is not itself", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.program("one", ["node", "-e", stays]))
      const line = yield* events.firstLine(ref)
      assert.notStrictEqual(line, "ready 1")
      yield* runtime.stop(ref)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 143)
      assert.strictEqual(exit.signal, "SIGTERM")
    }))

  test("what the agent started and left behind goes with it", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const leaves = `
        require("node:child_process").spawn("sh", ["-c", "trap : TERM; while :; do sleep 1; done"], { detached: true, stdio: "inherit" }).unref()
        ${tells}
        ${stays}`
      const ref = yield* runtime.start(world.program("one", ["node", "-e", leaves]))
      yield* events.firstLine(ref)
      yield* runtime.stop(ref)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 0)
      const { State } = yield* inspect(world, ref)
      assert.isFalse(State.Running)
      assert.strictEqual(State.Pid, 0)
    }))

  test("the two streams are kept apart and each to its last bytes", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const speaks = `
        for (let n = 0; n < 2000; n++) { console.log("out " + n); console.error("err " + n) }
        process.exitCode = 3`
      const ref = yield* runtime.start(world.program("one", ["node", "-e", speaks]))
      assert.strictEqual((yield* events.exit(ref)).exitCode, 3)
      const { stderr, stdout } = yield* runtime.output(ref, KIB)
      assert.strictEqual(Buffer.byteLength(stdout), KIB)
      assert.strictEqual(Buffer.byteLength(stderr), KIB)
      assert.match(stdout, /out 1998\nout 1999\n$/)
      assert.match(stderr, /err 1998\nerr 1999\n$/)
      assert.notInclude(stdout, "err")
      assert.notInclude(stderr, "out")
    }))

  test("a container that floods both streams fills neither the host's disk nor the daemon", (world) =>
    Effect.gen(function* () {
      const maxOutputBytes = 256 * KIB
      const runtime = yield* world.openWith({ maxOutputBytes })(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(
        world.agent("one", { AGENT_BEHAVIOUR: "flood", AGENT_FLOOD_BYTES: String(16 * KIB * KIB) }),
      )
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 0)
      const { LogPath } = yield* inspect(world, ref)
      if (process.getuid?.() === 0) {
        const files = readdirSync(dirname(LogPath)).filter((name) => name.includes("-json.log"))
        const bytes = files.reduce((sum, name) => sum + statSync(`${dirname(LogPath)}/${name}`).size, 0)
        assert.isAbove(bytes, 0)
        // The engine rotates once a file is over its size: by less than one line.
        assert.isAtMost(bytes, 2 * maxOutputBytes + 64 * KIB)
      }
      const { stderr, stdout } = yield* runtime.output(ref, 64 * KIB)
      // What is kept is kept of both together: the last bytes, whichever stream had them.
      assert.isAbove(stdout.length + stderr.length, 32 * KIB)
      assert.isAtMost(Buffer.byteLength(stdout), 64 * KIB)
      assert.isAtMost(Buffer.byteLength(stderr), 64 * KIB)
      // Lines are hints: who can't keep up with them is told so, and its backlog is bounded.
      assert.isAtMost(events.of(ref).length, 2 * ((16 * KIB * KIB) / 128) + 2)
    }))

  test("a container that floods for ever is listened to no faster than others can bear", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const began = performance.now()
      const ref = yield* runtime.start(
        world.agent("loud", { AGENT_BEHAVIOUR: "flood", AGENT_FLOOD_BYTES: String(1024 ** 4) }),
      )
      const quiet = yield* runtime.start(world.spec("quiet", "obeys"))
      yield* events.line(quiet, "ready")
      yield* Effect.sleep("3 seconds")
      const heard = events.of(ref).length * 128
      const seconds = (performance.now() - began) / 1_000
      assert.isAbove(heard, 0)
      assert.isAtMost(heard, (seconds + 1) * 1.1 * 256 * KIB)
      yield* runtime.stop(quiet)
      assert.strictEqual((yield* events.exit(quiet)).exitCode, 0)
      yield* runtime.kill(ref)
      assert.strictEqual((yield* events.exit(ref)).exitCode, 137)
    }))

  test("a line without an end is cut, and the next is a line again", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.agent("one", { AGENT_BEHAVIOUR: "longLine" }))
      yield* events.exit(ref)
      const lines = events.of(ref).flatMap((event) => (event._tag === "Line" ? [event.line] : []))
      assert.strictEqual(lines.length, 2)
      assert.match(lines[0] ?? "", /^y+$/)
      assert.isAtMost(lines[0]?.length ?? 0, 8 * KIB)
      assert.strictEqual(lines[1], "after")
    }))

  test("a command that the image lacks ends at once, and its log says which", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const started = yield* Effect.result(runtime.start(world.program("one", ["no-such-program", "--now"])))
      // With an init above it the engine starts that one, and it is the init that fails; without, the engine refuses.
      if (started._tag === "Failure") {
        assert.strictEqual(started.failure.reason, "Configuration")
        assert.include(started.failure.message, "no-such-program")
        assert.deepStrictEqual(yield* runtime.list, [])
        return
      }
      const exit = yield* events.exit(started.success)
      assert.strictEqual(exit.exitCode, 127)
      const { stderr } = yield* runtime.output(started.success, KIB)
      assert.include(stderr, "no-such-program")
    }))

  test("a program of one's own that exits with 125 is told from an engine that fails", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.program("one", ["sh", "-c", "echo why >&2; exit 125"]))
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 125)
      assert.strictEqual((yield* runtime.output(ref, KIB)).stderr, "why\n")

      const refused = yield* Effect.flip(
        runtime.start({ ...world.agent("two"), sandbox: { network: "no-such-network" } }),
      )
      assert.strictEqual(refused.reason, "Configuration")
      assert.include(refused.message, "no-such-network")
    }))

  test("a start that the engine refuses leaves nothing, and says what to change", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const missing = yield* Effect.flip(
        runtime.start({
          ...world.agent("one"),
          binds: [{ source: "/no/such/place", target: "/workspace/extra", access: "read-only" }],
        }),
      )
      assert.strictEqual(missing.reason, "Configuration")
      assert.include(missing.message, "/no/such/place")
      const image = yield* Effect.flip(
        runtime.start({ ...world.agent("one"), image: "lamplighter-no-such-image:1" }),
      )
      assert.strictEqual(image.reason, "ImageMissing")
      assert.include(image.message, "lamplighter-no-such-image:1")
      const foreign = yield* Effect.flip(
        runtime.start({
          ...world.agent("one"),
          labels: { ...world.agent("one").labels, install: world.otherInstall },
        }),
      )
      assert.strictEqual(foreign.reason, "Configuration")
      assert.deepStrictEqual(yield* runtime.list, [])
      // The name is free: the next start is like the first.
      const events = yield* record(runtime)
      const ref = yield* runtime.start(world.spec("one", "obeys"))
      yield* events.line(ref, "ready")
      assert.strictEqual((yield* inspect(world, ref)).Config.Image, baseImage)
    }))
})
