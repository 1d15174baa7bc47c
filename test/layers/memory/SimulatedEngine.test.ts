import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { RuntimeEvent } from "../../../src/services/ContainerRuntime.ts"
import { makeSimulatedWorld } from "../../support/SimulatedWorld.ts"

const events = Effect.fnUntraced(function* (stream: Stream.Stream<RuntimeEvent>) {
  const seen: Array<RuntimeEvent> = []
  yield* Stream.runForEach(stream, (event) => Effect.sync(() => seen.push(event))).pipe(
    Effect.forkScoped({ startImmediately: true }),
  )
  return { seen, tags: () => seen.map((event) => event._tag) }
})

/** Lets every fiber that can run do so. */
const settle = TestClock.adjust("1 second")

describe("SimulatedEngine", () => {
  it.effect("fails the starts that it is told to fail, and no other", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      yield* engine.failNextStart("ImageMissing")
      yield* engine.failNextStart("Credentials")
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "ImageMissing")
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "Credentials")
      yield* engine.failStarts("RuntimeDown")
      for (let attempt = 0; attempt < 3; attempt += 1)
        assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "RuntimeDown")
      assert.deepStrictEqual(yield* runtime.list, [])
      assert.strictEqual(engine.starts(), 0)
      yield* engine.failStarts(null)
      yield* runtime.start(spec("one", "obeys"))
      assert.strictEqual(engine.starts(spec("one", "obeys").labels.session), 1)
    }),
  )

  it.effect("answers an ambiguous start whether or not the container exists; the list tells", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      yield* engine.nextStartIsAmbiguous("not-created")
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "Ambiguous")
      assert.strictEqual((yield* runtime.list).length, 0)
      yield* engine.nextStartIsAmbiguous("created")
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "Ambiguous")
      assert.deepStrictEqual(
        (yield* runtime.list).map((status) => status._tag),
        ["Running"],
      )
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("one", "obeys")))).reason, "NameTaken")
      assert.strictEqual(engine.maximumLivePerSession(), 1)
    }),
  )

  it.effect("answers nothing while it is down, goes on running, and reports a gap afterwards", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      const { tags } = yield* events(runtime.events)
      const ref = yield* runtime.start(spec("one", "obeys"))
      yield* settle
      yield* engine.down
      assert.strictEqual((yield* Effect.flip(runtime.start(spec("two", "obeys")))).reason, "RuntimeDown")
      const refusals = [
        yield* Effect.flip(runtime.list),
        yield* Effect.flip(runtime.stop(ref)),
        yield* Effect.flip(runtime.kill(ref)),
        yield* Effect.flip(runtime.adopt(ref)),
        yield* Effect.flip(runtime.remove(ref)),
        yield* Effect.flip(runtime.output(ref, 10)),
      ]
      for (const { _tag } of refusals) assert.strictEqual(_tag, "RuntimeUnavailable")
      assert.isTrue(yield* engine.killOutside(ref.labels.session))
      yield* settle
      yield* engine.up
      yield* settle
      assert.deepStrictEqual(tags(), ["Line", "Gap"])
      assert.deepStrictEqual(
        (yield* runtime.list).map((status) => status._tag),
        ["Exited"],
      )
    }),
  )

  it.effect("loses events when told to, and reports the gap", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      const { tags } = yield* events(runtime.events)
      yield* engine.dropEvents
      const ref = yield* runtime.start(spec("one", "exits7"))
      yield* settle
      assert.deepStrictEqual(tags(), [])
      yield* engine.resumeEvents
      yield* settle
      assert.deepStrictEqual(tags(), ["Gap"])
      const [status] = yield* runtime.list
      assert.strictEqual(status?._tag === "Exited" ? status.exit.exitCode : null, 7)
      yield* runtime.remove(ref)
    }),
  )

  it.effect("tells an OOM kill, somebody's SIGKILL, a broken script and an exit that nobody saw apart", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      const { seen } = yield* events(runtime.events)
      const exit = Effect.fnUntraced(function* (
        session: string,
        die: (session: never) => Effect.Effect<unknown>,
      ) {
        const ref = yield* runtime.start(spec(session, "obeys"))
        yield* settle
        yield* die(session as never)
        yield* settle
        const event = seen.find((one) => one._tag === "Exited" && one.ref.handle === ref.handle)
        return event?._tag === "Exited" ? event.exit : undefined
      })
      const at = (yield* exit("oom", engine.oomKill))?.at ?? null
      assert.isNotNull(at)
      assert.deepInclude(yield* exit("oom", engine.oomKill), {
        exitCode: null,
        signal: "SIGKILL",
        oomKilled: true,
      })
      assert.deepInclude(yield* exit("shot", engine.killOutside), { signal: "SIGKILL", oomKilled: false })
      yield* engine.hideExits
      assert.deepStrictEqual(yield* exit("unseen", engine.killOutside), {
        exitCode: null,
        signal: null,
        oomKilled: false,
        at: null,
      })
      yield* engine.showExits
      const broken = yield* runtime.start(spec("broken", "no such behaviour" as never))
      yield* settle
      assert.strictEqual(
        seen.flatMap((one) =>
          one._tag === "Exited" && one.ref.handle === broken.handle ? [one.exit.exitCode] : [],
        )[0],
        1,
      )
      assert.include((yield* runtime.output(broken, 1_000)).stderr, "the script broke")
      assert.isFalse(yield* engine.killOutside(broken.labels.session))
    }),
  )

  it.effect("tells a daemon nothing of a container that it neither started nor adopted", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      yield* engine.bearUnrecorded(spec("one", "obeys"))
      const runtime = yield* open(install)
      const { tags } = yield* events(runtime.events)
      yield* settle
      assert.deepStrictEqual(tags(), [])
      const [status] = yield* runtime.list
      if (status !== undefined) yield* runtime.adopt(status.ref)
      yield* engine.killOutside(spec("one", "obeys").labels.session)
      yield* settle
      assert.deepStrictEqual(tags(), ["Exited"])
    }),
  )

  it.effect("counts two lives of one session at once, if somebody gives them two names", () =>
    Effect.gen(function* () {
      const { engine, install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      yield* runtime.start(spec("one", "obeys"))
      yield* runtime.start(spec("two", "obeys"))
      assert.strictEqual(engine.maximumLivePerSession(), 1)
      yield* runtime.start({ ...spec("one", "obeys"), name: "another" })
      assert.strictEqual(engine.maximumLivePerSession(), 2)
      assert.strictEqual(engine.running(), 3)
    }),
  )

  it.effect("interrupts a killed agent at once: nothing of it acts afterwards", () =>
    Effect.gen(function* () {
      const { install, open, spec } = yield* makeSimulatedWorld
      const runtime = yield* open(install)
      const { seen } = yield* events(runtime.events)
      const ref = yield* runtime.start(spec("one", "obeys"))
      yield* settle
      yield* runtime.kill(ref)
      yield* runtime.stop(ref)
      yield* settle
      assert.deepStrictEqual(
        seen.map((event) => (event._tag === "Line" ? event.line : event._tag)),
        ["ready", "Exited"],
      )
    }),
  )
})
