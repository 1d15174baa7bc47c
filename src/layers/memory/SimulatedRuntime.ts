/**
 * One daemon's view of a `SimulatedEngine`: it lists by install, and tells the events of what it started or adopted and of
 * nothing else, so that a daemon which forgets to adopt goes without, in the simulation as in life.
 */
import { Effect, Layer } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import { type ContainerExit, ContainerRuntime, UNSEEN_EXIT } from "../../services/ContainerRuntime.ts"
import { makeRuntimeEventHub } from "../runtime/RuntimeEventHub.ts"
import { SimulatedEngine } from "./SimulatedEngine.ts"

export interface SimulatedRuntimeOptions {
  readonly install: InstallId
}

const EVENT_CAPACITY = 100_000

const make = Effect.fnUntraced(function* (options: SimulatedRuntimeOptions) {
  const engine = yield* SimulatedEngine
  const hub = makeRuntimeEventHub(EVENT_CAPACITY)
  /** By handle: what this daemon started, and what it adopted. */
  const started = new Set<string>()
  const adopted = new Set<string>()

  /** The exit of an adopted container is not known, as of a process. */
  const shown = (handle: string, exit: ContainerExit): ContainerExit =>
    started.has(handle) ? exit : UNSEEN_EXIT

  yield* engine.listen((event) => {
    if (event._tag === "Gap") return hub.publish(event)
    const { handle } = event.ref
    if (!started.has(handle) && !adopted.has(handle)) return
    hub.publish(event._tag === "Exited" ? { ...event, exit: shown(handle, event.exit) } : event)
  })
  yield* Effect.addFinalizer(() => Effect.sync(hub.close))

  const list = engine
    .list(options.install)
    .pipe(
      Effect.map((statuses) =>
        statuses.map((status) =>
          status._tag === "Exited" ? { ...status, exit: shown(status.ref.handle, status.exit) } : status,
        ),
      ),
    )

  return ContainerRuntime.of({
    kind: "simulated",
    bootId: engine.bootId(),
    start: (spec) => engine.start(spec, (ref) => void started.add(ref.handle)),
    stop: (ref) => engine.signal(ref, "SIGTERM"),
    kill: (ref) => engine.signal(ref, "SIGKILL"),
    list,
    adopt: (ref) =>
      Effect.map(list, (statuses) => {
        if (started.has(ref.handle) || adopted.has(ref.handle)) return
        adopted.add(ref.handle)
        const status = statuses.find((candidate) => candidate.ref.handle === ref.handle)
        if (status?._tag === "Running") return
        hub.publish({ _tag: "Exited", ref, exit: status?.exit ?? UNSEEN_EXIT })
      }),
    output: engine.output,
    remove: engine.remove,
    events: hub.events,
  })
})

export const SimulatedRuntime = {
  layer: (options: SimulatedRuntimeOptions): Layer.Layer<ContainerRuntime, never, SimulatedEngine> =>
    Layer.effect(ContainerRuntime, make(options)),
}
