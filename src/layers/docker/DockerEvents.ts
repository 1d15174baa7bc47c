/**
 * The engine's event stream about one install's containers, heard again whenever it breaks. What it tells is a hint of when to look;
 * only of a container that is gone already is it the last word.
 */
import { Option, Schema } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import type { DockerEngine } from "./DockerEngine.ts"
import { labelFilter } from "./DockerLabels.ts"
import { makeLineCutter } from "./LogFrames.ts"

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

export interface EngineEventsOptions {
  readonly install: InstallId
  /** Ends the hearing. */
  readonly closing: AbortSignal
  readonly tell: (event: EngineEvent) => void
  /** Nothing is heard from now on. Told once until `heard`. */
  readonly deaf: () => void
  /** It is heard again, or for the first time after an attempt that failed: what happened meanwhile was missed. */
  readonly heard: () => void
  readonly pause: (milliseconds: number) => Promise<void>
  readonly firstPauseMs: number
  readonly longestPauseMs: number
}

/** Returns when `closing` is aborted. */
export const hearEngineEvents = async (engine: DockerEngine, options: EngineEventsOptions): Promise<void> => {
  const { closing, firstPauseMs, longestPauseMs } = options
  let wait = firstPauseMs
  let sofar: "begins" | "hears" | "deaf" = "begins"
  while (!closing.aborted) {
    try {
      const stream = await engine.stream("the engine's events can't be heard", closing, (abortSignal) =>
        engine.docker.getEvents({
          filters: {
            type: ["container"],
            event: ["die", "kill", "oom"],
            label: [labelFilter(options.install)],
          },
          abortSignal,
        }),
      )
      const cutter = makeLineCutter((line) => {
        // Any event is a sign that the stream lives: only one that breaks at once is waited for ever longer.
        wait = firstPauseMs
        const event = engineEventOf(line)
        if (event !== undefined) options.tell(event)
      })
      const ended = new Promise<void>((resolve) => {
        stream.on("data", (bytes: Buffer) => cutter.feed(bytes))
        stream.once("end", resolve)
        stream.once("close", resolve)
      })
      if (sofar === "deaf") options.heard()
      sofar = "hears"
      const since = performance.now()
      await ended
      if (performance.now() - since > longestPauseMs) wait = firstPauseMs
    } catch {
      // Tried again below; whoever starts or lists is told why.
    }
    if (sofar !== "deaf") options.deaf()
    sofar = "deaf"
    await options.pause(wait)
    wait = Math.min(wait * 2, longestPauseMs)
  }
}
