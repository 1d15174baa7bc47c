import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { parseHandle } from "../../../src/layers/process/ProcessIdentity.ts"
import { makeRunDirectory } from "../../../src/layers/process/RunDirectory.ts"
import type { LaunchSpec } from "../../../src/services/ContainerRuntime.ts"
import { record } from "../../contract/ContainerRuntime.contract.ts"
import { agentEntry, eventually, makeProcessWorld, type ProcessWorld } from "../../support/ProcessWorld.ts"

const daemonEntry = fileURLToPath(new URL("../../support/daemons/StartsAnAgent.ts", import.meta.url))

/** A daemon in a process of its own; it has heard its agent's first line when this returns. */
const startDaemon = (world: ProcessWorld, spec: LaunchSpec) =>
  Effect.callback<{ readonly child: ChildProcess; readonly handle: string }>((resume) => {
    const options = {
      dataDir: world.dataDir(world.install),
      install: world.install,
      runnerEntry: agentEntry,
      nodePath: process.execPath,
      maxOutputBytes: 1024 * 1024,
    }
    const child = spawn(process.execPath, [daemonEntry, JSON.stringify(options), JSON.stringify(spec)], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    child.stdout.once("data", (data) => resume(Effect.succeed({ child, handle: String(data).trim() })))
    child.once("exit", (code) => resume(Effect.die(new Error(`the daemon exited with ${code}`))))
  })

const killDaemon = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const bytesIn = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)

describe("ProcessRuntime", () => {
  it.live(
    "tells the runner who it is, where its files are, and nothing else of the daemon's environment",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const world = yield* makeProcessWorld
          process.env["DAEMON_SECRET"] = "swordfish"
          yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env["DAEMON_SECRET"]))
          const runtime = yield* world.open(world.install)
          const events = yield* record(runtime)
          const spec = world.agent("one", "reports", { TZ: "Asia/Tokyo" })
          const ref = yield* runtime.start(spec)
          yield* events.exit(ref)
          const [line] = events.of(ref)
          const told = JSON.parse(line?._tag === "Line" ? line.line : "{}")
          assert.deepStrictEqual(told.argv, [
            "--install",
            world.install,
            "--group",
            "family",
            "--session",
            "one",
            "--incarnation",
            "1",
          ])
          assert.strictEqual(told.cwd, spec.groupDir)
          assert.strictEqual(told.env.TZ, "Asia/Tokyo")
          assert.strictEqual(told.env.PATH, process.env["PATH"])
          assert.strictEqual(told.env.SESSION_INBOUND_DB_PATH, join(spec.inDir, "inbound.db"))
          assert.strictEqual(told.env.SESSION_OUTBOUND_DB_PATH, join(spec.outDir, "outbound.db"))
          assert.strictEqual(told.env.SESSION_HEARTBEAT_PATH, join(spec.outDir, ".heartbeat"))
          assert.strictEqual(told.env.LAMPLIGHTER_CONTAINER_JSON, spec.containerJson)
          assert.strictEqual(told.env.LAMPLIGHTER_WORKDIR, spec.groupDir)
          assert.notProperty(told.env, "DAEMON_SECRET")
        }),
      ),
  )

  it.live("keeps its run directories from other users", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const ref = yield* runtime.start(world.agent("one", "obeys"))
        const path = makeRunDirectory(world.dataDir(world.install), world.install).path(ref.labels)
        assert.strictEqual(statSync(path).mode & 0o077, 0)
        for (const name of readdirSync(path)) assert.strictEqual(statSync(join(path, name)).mode & 0o077, 0)
      }),
    ),
  )

  it.live("kills what the runner started, in whatever process group, before it tells the exit", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const killed = yield* runtime.start(world.agent("killed", "grandchildren"))
        const stopped = yield* runtime.start(world.agent("stopped", "grandchildren"))
        const crashed = yield* runtime.start(world.agent("crashed", "crashesWithGrandchildren"))
        yield* events.line(killed, "ready")
        yield* events.line(stopped, "ready")
        yield* runtime.kill(killed)
        yield* runtime.stop(stopped)
        yield* events.exit(killed)
        yield* events.exit(stopped)
        assert.strictEqual((yield* events.exit(crashed)).exitCode, 3)
        assert.deepStrictEqual(world.survivors(), [])
      }),
    ),
  )

  it.live("kills what a runner left behind that died while no daemon lived, before it lists the exit", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(world.open(world.install), scope)
        const before = yield* record(first)
        const ref = yield* first.start(world.agent("one", "grandchildren"))
        yield* before.line(ref, "ready")
        yield* Scope.close(scope, Exit.void)
        yield* world.killOutside(ref)
        assert.strictEqual(world.survivors().length, 2)

        const runtime = yield* world.open(world.install)
        assert.deepStrictEqual(
          (yield* runtime.list).map((status) => status._tag),
          ["Exited"],
        )
        assert.deepStrictEqual(world.survivors(), [])
      }),
    ),
  )

  it.live(
    "adopts after the daemon was killed with SIGKILL, and loses nothing that the agent says meanwhile",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const world = yield* makeProcessWorld
          const spec = world.agent("one", "obeys")
          const daemon = yield* startDaemon(world, spec)
          yield* killDaemon(daemon.child)
          const pid = parseHandle(daemon.handle)?.pid ?? 0
          assert.deepStrictEqual(world.survivors(), [pid])
          // Written while nobody reads.
          process.kill(pid, "SIGTERM")
          yield* eventually("the agent ended by itself", () => world.survivors().length === 0)

          const runtime = yield* world.open(world.install)
          const events = yield* record(runtime)
          const ref = { labels: spec.labels, handle: daemon.handle }
          yield* runtime.adopt(ref)
          const exit = yield* events.exit(ref)
          assert.isNull(exit.exitCode)
          assert.isNull(exit.signal)
          yield* events.line(ref, "stopping")
          assert.strictEqual((yield* runtime.output(ref, 1_000)).stdout, "ready\nstopping\n")
        }),
      ),
  )

  it.live("adopts a live agent after the daemon was killed with SIGKILL", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const spec = world.agent("one", "obeys")
        const daemon = yield* startDaemon(world, spec)
        yield* killDaemon(daemon.child)

        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Running")
        assert.deepStrictEqual(status?.ref, { labels: spec.labels, handle: daemon.handle })
        if (status === undefined) return
        yield* runtime.adopt(status.ref)
        yield* runtime.stop(status.ref)
        const exit = yield* events.exit(status.ref)
        assert.isNull(exit.exitCode)
        yield* events.line(status.ref, "stopping")
      }),
    ),
  )

  it.live("remembers an exit that it saw across a restart", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(world.open(world.install), scope)
        const before = yield* record(first)
        yield* before.exit(yield* first.start(world.spec("one", "exits7")))
        yield* Scope.close(scope, Exit.void)

        const runtime = yield* world.open(world.install)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag === "Exited" ? status.exit.exitCode : null, 7)
      }),
    ),
  )

  it.live("signals nobody when the process id belongs to somebody else by now", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.agent("one", "obeys"))
        yield* events.line(ref, "ready")
        const identity = parseHandle(ref.handle)
        const [boot, pid, start] = [identity?.bootId, identity?.pid, identity?.startTime]
        for (const handle of [
          `${boot}/${pid}/1`,
          `another-boot/${pid}/${start}`,
          `${boot}/1/${start}`,
          "",
          "-1",
        ]) {
          yield* runtime.kill({ ...ref, handle })
          yield* runtime.stop({ ...ref, handle })
        }
        yield* runtime.stop(ref)
        assert.strictEqual((yield* events.exit(ref)).exitCode, 0)
      }),
    ),
  )

  it.live("takes a record of another boot for dead, whatever has its process id now", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const { labels } = world.agent("one", "obeys")
        const identity = { bootId: "another-boot", pid: process.pid, startTime: "1" }
        const directory = makeRunDirectory(world.dataDir(world.install), world.install)
        directory.writeRecord({ labels, startedAt: 1, identity, exit: null })

        const runtime = yield* world.open(world.install)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Exited")
        assert.isNull(status?._tag === "Exited" ? status.exit.exitCode : 0)
        // It is free for the next incarnation.
        yield* runtime.start(world.spec("one", "obeys", { incarnation: 2 }))
      }),
    ),
  )

  it.live("bounds a flood on disk, keeps its end, and says that lines were lost", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const maxOutputBytes = 64 * 1024
        const runtime = yield* world.openWith({ maxOutputBytes })(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.agent("one", "flood", { AGENT_FLOOD_BYTES: "20000000" }))
        yield* events.exit(ref)
        const path = makeRunDirectory(world.dataDir(world.install), world.install).path(ref.labels)
        assert.isBelow(bytesIn(path), 2 * (2 * maxOutputBytes))
        const output = yield* runtime.output(ref, 1_000)
        assert.match(output.stdout, /x\ndry\n$/)
        assert.strictEqual(Buffer.byteLength(output.stderr), 1_000)
        yield* events.gap
      }),
    ),
  )

  it.live("cuts an endless line and goes on with the next", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.agent("one", "longLine"))
        yield* events.exit(ref)
        const lines = events.of(ref).map((event) => (event._tag === "Line" ? event.line : ""))
        assert.deepStrictEqual(lines, ["y".repeat(8_192), "after", ""])
      }),
    ),
  )

  it.live("says what is wrong with a launch, and leaves nothing behind", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const spec = world.agent("one", "obeys")
        const missing = join(world.directory, "missing")
        const attempt = (options: Parameters<ProcessWorld["openWith"]>[0], launch: LaunchSpec) =>
          Effect.scoped(
            Effect.gen(function* () {
              const runtime = yield* world.openWith(options)(world.install)
              const error = yield* Effect.flip(runtime.start(launch))
              assert.deepStrictEqual(yield* runtime.list, [])
              assert.isFalse(existsSync(join(world.dataDir(world.install), "run", "one")))
              return error
            }),
          )
        for (const error of [
          yield* attempt({ nodePath: missing }, spec),
          yield* attempt({ runnerEntry: missing }, spec),
          yield* attempt({}, { ...spec, groupDir: missing }),
        ]) {
          assert.strictEqual(error.reason, "Configuration")
          assert.include(error.message, missing)
        }
        const nul = yield* attempt({}, { ...spec, env: { BROKEN: "a\0b" } })
        assert.strictEqual(nul.reason, "Configuration")
        const foreign = yield* attempt(
          {},
          { ...spec, labels: { ...spec.labels, install: world.otherInstall } },
        )
        assert.strictEqual(foreign.reason, "Configuration")

        const runtime = yield* world.open(world.install)
        yield* runtime.start(spec)
      }),
    ),
  )

  it.live("refuses to start an incarnation twice", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "exits7"))
        yield* events.exit(ref)
        const error = yield* Effect.flip(runtime.start(world.spec("one", "obeys")))
        assert.strictEqual(error.reason, "NameTaken")
        yield* runtime.remove(ref)
        yield* runtime.start(world.spec("one", "obeys"))
      }),
    ),
  )

  it.live("goes on after its run directory was deleted under it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const world = yield* makeProcessWorld
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.agent("one", "obeys"))
        yield* events.line(ref, "ready")
        rmSync(join(world.dataDir(world.install), "run"), { recursive: true })
        yield* runtime.stop(ref)
        assert.strictEqual((yield* events.exit(ref)).exitCode, 0)
        assert.strictEqual((yield* runtime.list).length, 1)
      }),
    ),
  )
})
