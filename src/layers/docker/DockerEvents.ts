/**
 * The engine's event stream about one install's containers, heard again whenever it breaks. What it tells is a hint of when to look;
 * only of a container that is gone already is it the last word.
 */
import { Clock, Effect, Option, Schedule, Schema } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import { makeLineCutter } from "../runtime/LineCutter.ts"
import { DockerEngine, nextBytes } from "./DockerEngine.ts"
import { labelFilter } from "./DockerLabels.ts"

export type EngineEvent =
  /** The kernel killed a process in it for memory. Whether that ended the container is another question. */
  | { readonly _tag: "OutOfMemory"; readonly id: string; readonly at: number }
  /** The engine sent it SIGTERM, whoever asked for that: also the engine itself, when it shuts down. */
  | { readonly _tag: "Asked"; readonly id: string; readonly at: number }
  | { readonly _tag: "Died"; readonly id: string; readonly at: number; readonly exitCode: number | null }

const Told = Schema.fromJsonString(
  Schema.Struct({
    Action: Schema.String,
    /** Seconds, and nanoseconds, since 1970. */
    time: Schema.Finite,
    timeNano: Schema.optionalKey(Schema.Finite),
    Actor: Schema.Struct({
      ID: Schema.String,
      Attributes: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    }),
  }),
)
const SIGTERM = "15"
const decode = Schema.decodeUnknownOption(Told)

/** What one line of the stream tells, or `undefined` where that is nothing to the watcher. */
export const engineEventOf = (line: string): EngineEvent | undefined => {
  const told = Option.getOrUndefined(decode(line))
  if (told === undefined) return undefined
  const { Action, Actor, time, timeNano } = told
  const at = timeNano === undefined ? time * 1_000 : Math.floor(timeNano / 1e6)
  if (Action === "oom") return { _tag: "OutOfMemory", id: Actor.ID, at }
  if (Action === "kill")
    return Actor.Attributes?.["signal"] === SIGTERM ? { _tag: "Asked", id: Actor.ID, at } : undefined
  if (Action !== "die") return undefined
  const code = Actor.Attributes?.["exitCode"] ?? ""
  return { _tag: "Died", id: Actor.ID, at, exitCode: /^[0-9]{1,3}$/.test(code) ? Number(code) : null }
}

export interface EngineListener {
  readonly tell: (event: EngineEvent) => void
  /** Events are heard from now on: for the first time, or `again` after a time in which some were missed. */
  readonly heard: (since: "first" | "again") => void
  /** Nothing is heard from now on. Told once until `heard`. */
  readonly deaf: () => void
}

/** Between two attempts. */
export const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000

/** For whatever is tried again until the engine answers. */
export const patience = Schedule.min([
  Schedule.exponential(FIRST_PAUSE_MS),
  Schedule.spaced(LONGEST_PAUSE_MS),
])

/** Hears one stream to its end. True if it lived: an event came, or it lasted. */
const hearOnce = Effect.fnUntraced(function* (
  install: InstallId,
  tell: EngineListener["tell"],
  heard: () => void,
) {
  const engine = yield* DockerEngine
  const stream = yield* engine.stream("the engine's events can't be heard", (docker, abortSignal) =>
    docker.getEvents({
      filters: { type: ["container"], event: ["die", "kill", "oom"], label: [labelFilter(install)] },
      abortSignal,
    }),
  )
  let told = false
  const cutter = makeLineCutter((line) => {
    told = true
    const event = engineEventOf(line ?? "")
    if (event !== undefined) tell(event)
  })
  heard()
  const since = yield* Clock.currentTimeMillis
  for (let bytes = yield* nextBytes(stream); bytes !== null; bytes = yield* nextBytes(stream))
    cutter.feed(bytes)
  return told || (yield* Clock.currentTimeMillis) - since > LONGEST_PAUSE_MS
}, Effect.scoped)

/** Never ends: a stream that breaks is asked for again, less and less often if it breaks at once. */
export const hearEngineEvents = (install: InstallId, listener: EngineListener) => {
  let hears = true
  const deaf = Effect.sync(() => {
    if (hears) listener.deaf()
    hears = false
  })
  const heard = (): void => {
    listener.heard(hears ? "first" : "again")
    hears = true
  }
  return hearOnce(install, listener.tell, heard).pipe(
    // Tried again below. Whoever starts or lists is told why.
    Effect.catch(() => Effect.succeed(false)),
    Effect.tap(deaf),
    Effect.repeat({ schedule: patience, until: (lived) => lived }),
    Effect.andThen(Effect.sleep(FIRST_PAUSE_MS)),
    Effect.forever,
  )
}
