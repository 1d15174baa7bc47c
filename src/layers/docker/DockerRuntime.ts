/**
 * Runs agents in hardened containers of a Docker engine. The engine keeps what is true: containers are found by their labels and
 * refused twice by their name, so that nothing has to be remembered across a restart of the daemon.
 */
import { Context, Effect, Layer } from "effect"
import type { HostIdentity } from "../../domain/ContainerSpec.ts"
import { noPackages } from "../../domain/ImagePlan.ts"
import {
  type ContainerRef,
  ContainerRuntime,
  type LaunchSpec,
  type StartError,
} from "../../services/ContainerRuntime.ts"
import { processTable } from "../process/ProcessTable.ts"
import { startOnce, statusOf, unavailable } from "../runtime/Launching.ts"
import { makeOutputTail } from "../runtime/OutputTail.ts"
import { makeRuntimeEventHub } from "../runtime/RuntimeEventHub.ts"
import { containerFacts } from "./ContainerFacts.ts"
import {
  ask,
  DockerEngine,
  type EngineError,
  type EngineOptions,
  inspect,
  orElse,
  readLog,
  removeContainer,
} from "./DockerEngine.ts"
import { containerExit, engineTime, isOver } from "./DockerExit.ts"
import { labelFilter, labelsOfEngine } from "./DockerLabels.ts"
import { launch, type LaunchOptions } from "./DockerLaunch.ts"
import { startErrorOf } from "./DockerStartError.ts"
import { DockerWatcher, makeDockerWatcher } from "./DockerWatcher.ts"
import { engineSystem } from "./EngineFacts.ts"
import { imageOf } from "./ImageCollection.ts"
import { type ImageBuilderOptions, makeImageBuilder } from "./ImageBuilder.ts"
import { makeFrameReader } from "./LogFrames.ts"

export interface DockerRuntimeOptions extends LaunchOptions {
  /** For groups that name none. */
  readonly image: string
  /** What may be built when the engine lacks it; null: nothing. Looked at only after a create that was refused for its image. */
  readonly images: Omit<ImageBuilderOptions, "tell" | "agent" | "install"> | null
}

const INSPECTIONS_AT_ONCE = 8

const short = ({ handle }: ContainerRef): string => handle.slice(0, 12)

/** Asked once in a daemon's life. */
const hostIdentity = Effect.map(engineSystem, ({ rootless }): HostIdentity => ({
  uid: process.getuid?.() ?? 1_000,
  gid: process.getgid?.() ?? 1_000,
  engine: rootless,
}))

/** From create to start nothing may interrupt; a build, before anything of the session exists, can be left. */
const makeStart = Effect.fnUntraced(function* (options: DockerRuntimeOptions, starting: Set<string>) {
  const { images, install } = options
  const builder =
    images === null
      ? null
      : yield* makeImageBuilder({ ...images, agent: options.image, install, tell: Effect.logInfo })
  let host: HostIdentity | undefined
  const identify = Effect.map(hostIdentity, (found) => (host = found))
  // Engines take their time to say what they are: the first start need not wait for it.
  yield* Effect.forkScoped(Effect.ignore(identify))

  return (spec: LaunchSpec) =>
    startOnce(spec, { install, starting }, (restore) => {
      const { image, labels, packages = noPackages } = spec
      const wish = imageOf({ install, group: labels.group, from: image ?? options.image, packages })
      const refused = (error: EngineError | StartError) =>
        error._tag === "EngineError" ? startErrorOf(error, wish.tag) : error
      const attempt = Effect.gen(function* () {
        const known = host ?? (yield* Effect.mapError(identify, refused))
        return yield* launch(options, spec, wish.tag, known)
      })
      if (builder === null) return attempt
      return Effect.catchIf(
        attempt,
        ({ reason }) => reason === "ImageMissing",
        () =>
          restore(builder.heal(wish, labels.group)).pipe(Effect.mapError(refused), Effect.andThen(attempt)),
      )
    })
})

const sendSignal = Effect.fnUntraced(function* (
  install: string,
  ref: ContainerRef,
  signal: "SIGTERM" | "SIGKILL",
) {
  if (ref.labels.install !== install || ref.handle === "") return
  const watcher = yield* DockerWatcher
  watcher.signalling(ref.handle)
  yield* ask(`${signal} can't be sent`, (docker, abortSignal) =>
    docker.getContainer(ref.handle).kill({ signal, abortSignal }),
  ).pipe(
    // Gone, or not running: as asked.
    orElse(undefined, 404, 409),
    Effect.mapError(unavailable(`${signal} can't be sent to ${short(ref)}`)),
  )
})

/** Null: it is gone. */
const statusNow = Effect.fnUntraced(
  function* (ref: ContainerRef, lives: boolean) {
    const watcher = yield* DockerWatcher
    const known = watcher.exitOf(ref.handle)
    if (lives || known !== null) return statusOf(ref, lives ? null : known)
    const info = yield* inspect(ref.handle)
    if (!isOver(info.State)) return statusOf(ref, null, engineTime(info.State.StartedAt))
    watcher.suspect(ref.handle)
    return statusOf(ref, containerExit(info, watcher.heardOf(ref.handle)))
  },
  orElse(null, 404),
)

const list = Effect.fnUntraced(
  function* (install: DockerRuntimeOptions["install"], starting: Set<string>) {
    const summaries = yield* ask("the containers can't be listed", (docker, abortSignal) =>
      docker.listContainers({ all: true, filters: { label: [labelFilter(install)] }, abortSignal }),
    )
    const found = yield* Effect.forEach(
      summaries,
      ({ Id, Labels, Names, State }) => {
        const labels = labelsOfEngine(Labels)
        if (labels?.install !== install) return Effect.succeed(null)
        const name = (Names[0] ?? "").replace(/^\//, "")
        const lives = ["running", "paused", "restarting"].includes(State) || starting.has(name)
        return statusNow({ labels, handle: Id }, lives)
      },
      { concurrency: INSPECTIONS_AT_ONCE },
    )
    return found.filter((status) => status !== null)
  },
  Effect.mapError(unavailable("what runs can't be told")),
)

const output = Effect.fnUntraced(function* (ref: ContainerRef, maxBytes: number) {
  const tail = makeOutputTail(maxBytes)
  const bytes = yield* readLog("its output can't be read", ref.handle, true).pipe(
    orElse(Buffer.alloc(0), 404),
    Effect.mapError(unavailable(`the output of ${short(ref)} can't be read`)),
  )
  makeFrameReader(tail.feed)(bytes)
  // A log without them is better than none.
  const facts = yield* inspect(ref.handle).pipe(
    Effect.map(containerFacts),
    Effect.catch(() => Effect.succeed([])),
  )
  return { ...tail.output(), facts }
})

const remove = Effect.fnUntraced(
  function* (install: string, { handle, labels }: ContainerRef) {
    const watcher = yield* DockerWatcher
    if (labels.install !== install) return yield* Effect.fail("it belongs to another install")
    if (handle !== "") yield* removeContainer("it can't be removed", handle, false)
    yield* watcher.forget(handle)
  },
  (effect, _, ref) => Effect.mapError(effect, unavailable(`${short(ref)} can't be removed`)),
)

const make = Effect.fnUntraced(function* (options: DockerRuntimeOptions) {
  const { install } = options
  const hub = makeRuntimeEventHub()
  yield* Effect.addFinalizer(() => Effect.sync(hub.close))
  const watcher = yield* makeDockerWatcher(install, hub.publish)
  const context = Context.add(yield* Effect.context<DockerEngine>(), DockerWatcher, watcher)
  const asked = <A, E>(effect: Effect.Effect<A, E, DockerEngine | DockerWatcher>) =>
    Effect.provideContext(effect, context)
  /** Names with a start under way: what the engine shows of them is not an end. */
  const starting = new Set<string>()
  const start = yield* makeStart(options, starting)
  return ContainerRuntime.of({
    kind: "docker",
    bootId: processTable().bootId,
    start: (spec) => asked(start(spec)),
    stop: (ref) => asked(sendSignal(install, ref, "SIGTERM")),
    kill: (ref) => asked(sendSignal(install, ref, "SIGKILL")),
    list: asked(list(install, starting)),
    adopt: (ref) => asked(Effect.mapError(watcher.adopt(ref), unavailable(`${short(ref)} can't be adopted`))),
    output: (ref, maxBytes) => asked(output(ref, maxBytes)),
    remove: (ref) => asked(remove(install, ref)),
    events: hub.events,
  })
})

export const DockerRuntime = {
  /** On an engine that somebody else provides. */
  layerNoDeps: (options: DockerRuntimeOptions): Layer.Layer<ContainerRuntime, never, DockerEngine> =>
    Layer.effect(ContainerRuntime, make(options)),
  layer: (options: DockerRuntimeOptions & EngineOptions): Layer.Layer<ContainerRuntime> =>
    DockerRuntime.layerNoDeps(options).pipe(Layer.provide(DockerEngine.layer(options))),
}
