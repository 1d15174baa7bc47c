/**
 * The watch over one container. Two signals say when to ask the engine about it: a suspicion (an event, a listing) and the end of
 * its log stream; either is enough. Its exit is read from the engine and told once, after its last line. When the engine can't be
 * asked, nothing is known, so nothing is told: it is asked again.
 */
import { Clock, Deferred, Effect, Fiber, Latch } from "effect"
import type { Readable } from "node:stream"
import type { ContainerExit, ContainerRef, RuntimeEvent } from "../../services/ContainerRuntime.ts"
import { makeLineCutter } from "../runtime/LineCutter.ts"
import { DockerEngine, type EngineError, inspect, isRefused, nextBytes, readLog } from "./DockerEngine.ts"
import { type EngineEvent, FIRST_PAUSE_MS, patience } from "./DockerEvents.ts"
import { containerExit, goneExit, type Heard, isOver, mayBeOfMemory } from "./DockerExit.ts"
import { makeFrameReader } from "./LogFrames.ts"

/** How long the end of a dead container's log stream is waited for. What is missing then is read otherwise. */
const LAST_LINES_MS = 500
/** An event may come after the end that it explains. */
const LAST_EVENT_MS = 250
/** Of one container: who floods its output is heard late, and takes no time from others. The engine keeps it meanwhile. */
const LINE_BYTES_PER_SECOND = 256 * 1024
/** Lines told again to whoever adopts: the doorbell may have rung while nobody listened. */
const ADOPTED_TAIL = 20

export type ContainerWatch = ReturnType<typeof makeContainerWatch>

export const makeContainerWatch = (
  ref: ContainerRef,
  lines: "from the first" | "from now",
  publish: (event: RuntimeEvent) => void,
  /** What is known of it so far, to judge its exit by. */
  heard: () => Heard,
) => ({
  ref,
  publish,
  heard,
  /** Opened when somebody thinks that it may be over. */
  suspicion: Latch.makeUnsafe(false),
  over: Deferred.makeUnsafe<ContainerExit>(),
  /** Its lines are heard, or can't be. */
  ready: Deferred.makeUnsafe<void, EngineError>(),
  /** Fed with stdout; `fed` bytes of it so far, null when they are not counted from the first one. */
  cutter: makeLineCutter((line) => {
    if (line !== null) publish({ _tag: "Line", ref, line })
  }),
  fed: lines === "from the first" ? 0 : (null as number | null),
  /** Told already. */
  exit: null as ContainerExit | null,
  oomAt: null as number | null,
  askedAt: null as number | null,
  /** What its event told, should the engine have forgotten it by the time that it is asked. */
  died: null as Extract<EngineEvent, { readonly _tag: "Died" }> | null,
})

/** What an event of the engine's says about it. */
export const notice = (one: ContainerWatch, event: EngineEvent): void => {
  if (event._tag === "OutOfMemory") one.oomAt = event.at
  else if (event._tag === "Asked") one.askedAt = event.at
  else {
    one.died = event
    one.suspicion.openUnsafe()
  }
}

/** The engine's events are heard: what they would have told of it before was missed. */
export const lookAgain = (one: ContainerWatch, since: "first" | "again"): void => {
  if (since === "again") one.oomAt = null
  one.suspicion.openUnsafe()
}

/** Its lines are heard, or it is over. */
export const untilHeard = (one: ContainerWatch): Effect.Effect<void, EngineError> =>
  Effect.raceFirst(Deferred.await(one.ready), Effect.asVoid(Deferred.await(one.over)))

/** Asks the engine; true if it is over. */
const look = Effect.fnUntraced(
  function* (one: ContainerWatch) {
    let info = yield* inspect(one.ref.handle)
    if (!isOver(info.State)) return false
    if (mayBeOfMemory(info.State, one.heard())) {
      yield* Effect.sleep(LAST_EVENT_MS)
      info = yield* inspect(one.ref.handle)
    }
    yield* Deferred.succeed(one.over, containerExit(info, one.heard()))
    return true
  },
  (effect, one) =>
    Effect.catchIf(
      effect,
      (error) => isRefused(error, 404),
      // Somebody removed it. Its last event may still be on its way.
      () =>
        Effect.gen(function* () {
          if (one.died === null) yield* Effect.sleep(LAST_EVENT_MS)
          yield* Deferred.succeed(one.over, goneExit(one.died, one.heard()))
          return true
        }),
    ),
)

/** Asks at each suspicion until the engine answers. One that still runs is looked at again at the next. */
const followSuspicions = (one: ContainerWatch) =>
  one.suspicion.await.pipe(
    Effect.andThen(Effect.sync(() => one.suspicion.closeUnsafe())),
    Effect.andThen(Effect.retry(look(one), patience)),
    Effect.repeat({ until: (isEnd) => isEnd }),
  )

/** Tells the lines of an open stream until its end. */
const tellLines = Effect.fnUntraced(function* (one: ContainerWatch, stream: Readable) {
  const frames = makeFrameReader((_, bytes) => {
    if (one.fed !== null) one.fed += bytes.length
    one.cutter.feed(bytes)
  })
  let room = LINE_BYTES_PER_SECOND
  let since = yield* Clock.currentTimeMillis
  for (let bytes = yield* nextBytes(stream); bytes !== null; bytes = yield* nextBytes(stream)) {
    frames(bytes)
    room -= bytes.length
    const spent = (yield* Clock.currentTimeMillis) - since
    if (room <= 0 && spent < 1_000) yield* Effect.sleep(1_000 - spent)
    if (room > 0 && spent < 1_000) continue
    room = LINE_BYTES_PER_SECOND
    since = yield* Clock.currentTimeMillis
  }
})

/** False: its lines can't be heard now. */
const hearOnce = Effect.fnUntraced(
  function* (one: ContainerWatch) {
    const engine = yield* DockerEngine
    const stream = yield* engine
      .stream("the container's output can't be followed", (docker, abortSignal) =>
        docker.getContainer(one.ref.handle).logs({
          follow: true,
          stdout: true,
          stderr: false,
          ...(one.fed === null ? { tail: ADOPTED_TAIL } : {}),
          abortSignal,
        }),
      )
      .pipe(
        Effect.tapError((error) => (isRefused(error, 404) ? Effect.void : Deferred.fail(one.ready, error))),
      )
    yield* Deferred.succeed(one.ready, undefined)
    yield* tellLines(one, stream)
    return true
  },
  Effect.scoped,
  Effect.catch(() => Effect.succeed(false)),
)

/** Hears its lines until it is over. The stream ends when the container does, or when the engine closes it: the engine is asked. */
const followLines = (one: ContainerWatch) =>
  Effect.gen(function* () {
    const isHeard = yield* hearOnce(one)
    if (yield* Effect.catch(look(one), () => Effect.succeed(false))) return "over"
    if (!isHeard) return "unheard"
    one.fed = null
    return "running"
  }).pipe(
    Effect.repeat({ schedule: patience, until: (found) => found !== "unheard" }),
    Effect.tap((found) => Effect.sleep(found === "over" ? 0 : FIRST_PAUSE_MS)),
    Effect.repeat({ until: (found) => found === "over" }),
  )

/** Engines may end a followed stream before its last bytes: those are read once it is over. */
const hearRest = Effect.fnUntraced(
  function* ({ cutter, fed, ref }: ContainerWatch) {
    if (fed === null) return
    let seen = 0
    makeFrameReader((_, part) => {
      cutter.feed(part.subarray(Math.max(0, fed - seen)))
      seen += part.length
    })(yield* readLog("the container's output can't be read", ref.handle, false))
    // Lines are hints. The output is read again for the exit log.
  },
  Effect.catch(() => Effect.void),
)

/** Runs until its exit was told. */
export const watchContainer = Effect.fnUntraced(function* (one: ContainerWatch) {
  const lines = yield* Effect.forkChild(followLines(one), { startImmediately: true })
  yield* Effect.forkChild(followSuspicions(one), { startImmediately: true })
  const exit = yield* Deferred.await(one.over)
  yield* Effect.timeoutOption(Fiber.await(lines), LAST_LINES_MS)
  yield* Fiber.interrupt(lines)
  yield* hearRest(one)
  one.cutter.end()
  one.exit = exit
  one.publish({ _tag: "Exited", ref: one.ref, exit })
})
