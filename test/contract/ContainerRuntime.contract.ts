/**
 * What every `ContainerRuntime` promises, as one suite. A world is one engine or host that outlives the daemons on it; a
 * runtime is one daemon's view of it, so closing its scope is that daemon's death.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import type { InstallId } from "../../src/domain/Ids.ts"
import type {
  ContainerExit,
  ContainerRef,
  ContainerRuntime,
  LaunchSpec,
  RuntimeEvent,
} from "../../src/services/ContainerRuntime.ts"

export type Runtime = ContainerRuntime["Service"]

/**
 * `obeys`: says `ready`, exits 0 on SIGTERM. `deaf`: says `ready`, ignores SIGTERM. `exits7`: exits with 7 at once. `speaks`:
 * says `one`, `two`, and `three` without a newline, `aside` on stderr, and exits 0.
 */
export type Behaviour = "obeys" | "deaf" | "exits7" | "speaks"

export interface RuntimeWorld {
  readonly install: InstallId
  readonly otherInstall: InstallId
  /** A daemon of the install; it dies with the scope, its containers do not. */
  readonly open: (install: InstallId) => Effect.Effect<Runtime, never, Scope.Scope>
  readonly spec: (
    session: string,
    behaviour: Behaviour,
    more?: { readonly incarnation?: number; readonly install?: InstallId },
  ) => LaunchSpec
  /** SIGKILL by somebody else. It is dead when this returns. */
  readonly killOutside: (ref: ContainerRef) => Effect.Effect<void>
  /** A container whose daemon died before it could record that it started. It is running when this returns. */
  readonly bearUnrecorded: (spec: LaunchSpec) => Effect.Effect<void>
}

/** Everything that a runtime told since the subscription, and a way to wait for more. */
export const record = Effect.fnUntraced(function* (runtime: Runtime) {
  const seen: Array<RuntimeEvent> = []
  const waiting = new Set<() => void>()
  yield* Stream.runForEach(runtime.events, (event) =>
    Effect.sync(() => {
      seen.push(event)
      for (const look of waiting) look()
    }),
  ).pipe(Effect.forkScoped({ startImmediately: true }))
  const until = <A>(what: string, pick: () => A | undefined): Effect.Effect<A> =>
    Effect.callback<A>((resume) => {
      const look = (): boolean => {
        const found = pick()
        if (found === undefined) return false
        waiting.delete(look)
        resume(Effect.succeed(found))
        return true
      }
      if (!look()) waiting.add(look)
      return Effect.sync(() => waiting.delete(look))
    }).pipe(
      Effect.timeoutOrElse({
        duration: "10 seconds",
        orElse: () => Effect.die(new Error(`no ${what} among ${JSON.stringify(seen)}`)),
      }),
    )
  const of = (ref: ContainerRef) =>
    seen.filter((event) => event._tag !== "Gap" && event.ref.handle === ref.handle)
  return {
    seen,
    of,
    exit: (ref: ContainerRef): Effect.Effect<ContainerExit> =>
      until(`exit of ${ref.handle}`, () => {
        for (const event of of(ref)) if (event._tag === "Exited") return event.exit
        return undefined
      }),
    line: (ref: ContainerRef, line: string) =>
      until(`line ${line} of ${ref.handle}`, () =>
        of(ref).find((event) => event._tag === "Line" && event.line === line),
      ),
    firstLine: (ref: ContainerRef): Effect.Effect<string> =>
      until(`line of ${ref.handle}`, () => {
        for (const event of of(ref)) if (event._tag === "Line") return event.line
        return undefined
      }),
    gap: until("gap", () => seen.find((event) => event._tag === "Gap")),
    /** Something after which a daemon looks: an exit, or that there may have been one. */
    news: until("exit or gap", () => seen.find((event) => event._tag !== "Line")),
  }
})

const linesAndExits = (events: ReadonlyArray<RuntimeEvent>): ReadonlyArray<string> =>
  events.map((event) => (event._tag === "Line" ? event.line : event._tag.toLowerCase()))

const exits = (events: ReadonlyArray<RuntimeEvent>) =>
  events.filter((event) => event._tag === "Exited").length

export const containerRuntimeContract = (
  name: string,
  makeWorld: Effect.Effect<RuntimeWorld, never, Scope.Scope>,
): void => {
  const test = (
    title: string,
    body: (world: RuntimeWorld) => Effect.Effect<void, unknown, Scope.Scope>,
  ): void => it.live(title, () => Effect.scoped(Effect.flatMap(makeWorld, body)))

  /** A daemon, and the end of its life. */
  const openDaemon = Effect.fnUntraced(function* (world: RuntimeWorld) {
    const scope = yield* Scope.make()
    const runtime = yield* Scope.provide(world.open(world.install), scope)
    return { runtime, die: Scope.close(scope, Exit.void) }
  })

  describe(name, () => {
    test("lists a started container as running, under its labels", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const spec = world.spec("one", "obeys")
        const ref = yield* runtime.start(spec)
        assert.deepStrictEqual(ref.labels, spec.labels)
        const listed = yield* runtime.list
        assert.deepStrictEqual(
          listed.map((status) => [status._tag, status.ref]),
          [["Running", ref]],
        )
      }))

    test("tells lines before the exit, the exit once, and its code", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "speaks"))
        const exit = yield* events.exit(ref)
        assert.strictEqual(exit.exitCode, 0)
        assert.isNull(exit.signal)
        assert.isFalse(exit.oomKilled)
        assert.deepStrictEqual(linesAndExits(events.of(ref)), ["one", "two", "three", "exited"])
      }))

    test("tells an exit code that is not zero", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "exits7"))
        assert.strictEqual((yield* events.exit(ref)).exitCode, 7)
      }))

    test("keeps an exited container listed, with its exit and output, until it is removed", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "speaks"))
        yield* events.exit(ref)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Exited")
        assert.strictEqual(status?._tag === "Exited" ? status.exit.exitCode : null, 0)
        const output = yield* runtime.output(ref, 1_000)
        assert.match(output.stdout, /^one\ntwo\nthree\n?$/)
        assert.deepStrictEqual(
          output.text.split("\n").filter((line) => line !== "" && line !== "aside"),
          ["one", "two", "three"],
        )
        assert.include(output.text, "aside\n")
        assert.strictEqual(output.stderr, "aside\n")
        assert.strictEqual((yield* runtime.output(ref, 4)).stdout.length, 4)

        yield* runtime.remove(ref)
        assert.deepStrictEqual(yield* runtime.list, [])
        assert.deepInclude(yield* runtime.output(ref, 1_000), { stdout: "", stderr: "" })
        yield* runtime.remove(ref)
      }))

    test("refuses to remove a running container", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        const error = yield* Effect.flip(runtime.remove(ref))
        assert.strictEqual(error._tag, "RuntimeUnavailable")
        assert.deepStrictEqual(
          (yield* runtime.list).map((status) => status._tag),
          ["Running"],
        )
      }))

    test("stops gracefully: the agent has its say and exits by itself", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        yield* events.line(ref, "ready")
        yield* runtime.stop(ref)
        const exit = yield* events.exit(ref)
        assert.strictEqual(exit.exitCode, 0)
        assert.deepStrictEqual(linesAndExits(events.of(ref)), ["ready", "stopping", "exited"])
        yield* runtime.stop(ref)
        yield* runtime.kill(ref)
      }))

    test("kills one that does not listen", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "deaf"))
        yield* events.line(ref, "ready")
        yield* runtime.stop(ref)
        yield* events.line(ref, "ignored")
        assert.strictEqual((yield* runtime.list)[0]?._tag, "Running")
        yield* runtime.kill(ref)
        const exit = yield* events.exit(ref)
        assert.notStrictEqual(exit.exitCode, 0)
        assert.isTrue(exit.signal === "SIGKILL" || exit.exitCode === 137)
      }))

    test("tells of a kill by somebody else", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        yield* events.line(ref, "ready")
        yield* world.killOutside(ref)
        const exit = yield* events.exit(ref)
        assert.isTrue(exit.signal === "SIGKILL" || exit.exitCode === 137)
        assert.strictEqual(exits(events.of(ref)), 1)
      }))

    test("refuses a second container of a session while the first runs, and takes one afterwards", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const first = yield* runtime.start(world.spec("one", "obeys"))
        yield* events.line(first, "ready")
        const error = yield* Effect.flip(runtime.start(world.spec("one", "obeys", { incarnation: 2 })))
        assert.strictEqual(error.reason, "NameTaken")
        assert.strictEqual((yield* runtime.list).length, 1)
        yield* runtime.kill(first)
        yield* events.exit(first)
        const second = yield* runtime.start(world.spec("one", "obeys", { incarnation: 2 }))
        yield* events.line(second, "ready")
        assert.notStrictEqual(second.handle, first.handle)
      }))

    test("starts one of two that are asked for at once", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const results = yield* Effect.all(
          [1, 2].map((incarnation) =>
            Effect.result(runtime.start(world.spec("one", "obeys", { incarnation }))),
          ),
          { concurrency: "unbounded" },
        )
        assert.strictEqual(results.filter((result) => result._tag === "Success").length, 1)
        assert.strictEqual((yield* runtime.list).length, 1)
      }))

    test("never lists or signals another install's", (world) =>
      Effect.gen(function* () {
        const ours = yield* world.open(world.install)
        const theirs = yield* world.open(world.otherInstall)
        const ref = yield* ours.start(world.spec("one", "obeys"))
        const other = yield* theirs.start(world.spec("one", "obeys", { install: world.otherInstall }))
        assert.deepStrictEqual(
          (yield* ours.list).map((status) => status.ref),
          [ref],
        )
        assert.deepStrictEqual(
          (yield* theirs.list).map((status) => status.ref),
          [other],
        )
      }))

    test("lets containers outlive the daemon; the next one adopts them and hears their lines and their exit", (world) =>
      Effect.gen(function* () {
        const first = yield* openDaemon(world)
        const before = yield* record(first.runtime)
        const ref = yield* first.runtime.start(world.spec("one", "deaf"))
        yield* before.line(ref, "ready")
        yield* first.die

        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Running")
        assert.deepStrictEqual(status?.ref, ref)
        yield* runtime.adopt(ref)
        yield* runtime.adopt(ref)
        yield* runtime.stop(ref)
        yield* events.line(ref, "ignored")
        yield* runtime.kill(ref)
        const exit = yield* events.exit(ref)
        assert.notStrictEqual(exit.exitCode, 0)
        assert.strictEqual(exits(events.of(ref)), 1)
        assert.match((yield* runtime.output(ref, 1_000)).stdout, /ready\n.*ignored\n/s)
      }))

    test("refuses a second container of a session that an earlier daemon started", (world) =>
      Effect.gen(function* () {
        const first = yield* openDaemon(world)
        yield* first.runtime.start(world.spec("one", "obeys"))
        yield* first.die
        const runtime = yield* world.open(world.install)
        const error = yield* Effect.flip(runtime.start(world.spec("one", "obeys", { incarnation: 2 })))
        assert.strictEqual(error.reason, "NameTaken")
      }))

    test("lists one that ended while no daemon lived, and tells its exit to whoever adopts it", (world) =>
      Effect.gen(function* () {
        const first = yield* openDaemon(world)
        const before = yield* record(first.runtime)
        const ref = yield* first.runtime.start(world.spec("one", "obeys"))
        yield* before.line(ref, "ready")
        yield* first.die
        yield* world.killOutside(ref)

        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Exited")
        assert.deepStrictEqual(status?.ref, ref)
        assert.notStrictEqual(status?._tag === "Exited" ? status.exit.exitCode : 0, 0)
        yield* runtime.adopt(ref)
        yield* events.exit(ref)
        yield* runtime.remove(ref)
        assert.deepStrictEqual(yield* runtime.list, [])
      }))

    test("finds a container that was born before anybody recorded it, and can end it", (world) =>
      Effect.gen(function* () {
        const spec = world.spec("one", "obeys")
        yield* world.bearUnrecorded(spec)
        const runtime = yield* world.open(world.install)
        const events = yield* record(runtime)
        const [status] = yield* runtime.list
        assert.strictEqual(status?._tag, "Running")
        assert.deepStrictEqual(status?.ref.labels, spec.labels)
        const refused = yield* Effect.flip(runtime.start(world.spec("one", "obeys", { incarnation: 2 })))
        assert.strictEqual(refused.reason, "NameTaken")
        if (status !== undefined) {
          yield* runtime.adopt(status.ref)
          yield* runtime.kill(status.ref)
          yield* events.exit(status.ref)
        }
      }))

    test("tells the first who listens of an end that came before", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        yield* runtime.start(world.spec("one", "exits7"))
        let [status] = yield* runtime.list
        while (status?._tag === "Running") [status] = yield* Effect.delay(runtime.list, "5 millis")
        const events = yield* record(runtime)
        yield* events.news
      }))

    test("tells every subscriber from its own beginning", (world) =>
      Effect.gen(function* () {
        const runtime = yield* world.open(world.install)
        const early = yield* record(runtime)
        const ref = yield* runtime.start(world.spec("one", "obeys"))
        yield* early.line(ref, "ready")
        const late = yield* record(runtime)
        yield* runtime.stop(ref)
        yield* early.exit(ref)
        yield* late.exit(ref)
        assert.deepStrictEqual(linesAndExits(early.of(ref)), ["ready", "stopping", "exited"])
        assert.deepStrictEqual(linesAndExits(late.of(ref)), ["stopping", "exited"])
      }))
  })
}
