/**
 * Runs agents in hardened containers of a Docker engine. The engine keeps what is true: containers are found by their labels and
 * refused twice by their name, so that nothing has to be remembered across a restart of the daemon.
 */
import { Effect, Layer } from "effect"
import type { HostIdentity } from "../../domain/ContainerSpec.ts"
import { noPackages } from "../../domain/PackageNames.ts"
import {
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type LaunchSpec,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { processTable } from "../process/ProcessTable.ts"
import { makeOutputTail } from "../runtime/OutputTail.ts"
import { makeRuntimeEventHub } from "../runtime/RuntimeEventHub.ts"
import { containerFacts } from "./ContainerFacts.ts"
import { inspect } from "./ContainerWatch.ts"
import { DockerEngine, EngineError, type EngineOptions, isRefused } from "./DockerEngine.ts"
import { containerExit, engineTime, isOver } from "./DockerExit.ts"
import { labelFilter, labelsOfEngine } from "./DockerLabels.ts"
import { isBeingRemoved, launch, type LaunchOptions } from "./DockerLaunch.ts"
import { startErrorOf } from "./DockerStartError.ts"
import { DockerWatcher, makeDockerWatcher } from "./DockerWatcher.ts"
import { engineSystem } from "./EngineFacts.ts"
import { imageOf } from "./GroupImage.ts"
import { type ImageBuilderOptions, makeImageBuilder } from "./ImageBuilder.ts"
import { makeFrameReader } from "./LogFrames.ts"

export interface DockerRuntimeOptions extends LaunchOptions {
  /** For groups that name none. */
  readonly image: string
  /** What may be built when the engine lacks it; null: nothing. Looked at only after a create that was refused for its image. */
  readonly images: Omit<ImageBuilderOptions, "tell" | "agent" | "install"> | null
}

const EVENT_CAPACITY = 2_048
const INSPECTIONS_AT_ONCE = 8

const unavailable = (what: string) =>
  Effect.mapError(
    ({ message }: { readonly message: string }) => new RuntimeUnavailable({ message: `${what}: ${message}` }),
  )

const short = ({ handle }: ContainerRef): string => handle.slice(0, 12)

/** Asked once in a daemon's life. */
const hostIdentity = Effect.map(engineSystem, ({ rootless }): HostIdentity => ({
  uid: process.getuid?.() ?? 1_000,
  gid: process.getgid?.() ?? 1_000,
  engine: rootless,
}))

const makeStart = Effect.fnUntraced(function* (options: DockerRuntimeOptions, starting: Set<string>) {
  const context = yield* Effect.context<DockerEngine | DockerWatcher>()
  const { images, install } = options
  const builder =
    images === null
      ? null
      : yield* makeImageBuilder({
          ...images,
          agent: options.image,
          install,
          tell: Effect.logInfo,
        })
  let host: HostIdentity | undefined
  const identify = Effect.map(hostIdentity, (found) => (host = found))
  // Engines take their time to say what they are: the first start need not wait for it.
  yield* Effect.forkScoped(Effect.ignore(identify))

  const attempt = Effect.fnUntraced(function* (spec: LaunchSpec, image: string) {
    const known = host ?? (yield* Effect.mapError(identify, (error) => startErrorOf(error, image)))
    return yield* launch(options, spec, image, known)
  })

  /** From create to start nothing may interrupt; a build, before anything of the session exists, can be left. */
  return (spec: LaunchSpec): Effect.Effect<ContainerRef, StartError> =>
    Effect.uninterruptibleMask((restore) => {
      const { group, session } = spec.labels
      const { image, name, packages = noPackages } = spec
      if (starting.has(name))
        return Effect.fail(
          new StartError({ reason: "NameTaken", message: `session ${session} is being started already` }),
        )
      starting.add(name)
      const wish = imageOf({ install, group, from: image ?? options.image, packages })
      const heal = builder === null ? null : restore(builder.heal(wish, group))
      return attempt(spec, wish.tag).pipe(
        Effect.catchTag("ImageAbsent", (absent) =>
          heal === null
            ? absent.error
            : heal.pipe(
                Effect.mapError((error) =>
                  error._tag === "EngineError" ? startErrorOf(error, wish.tag) : error,
                ),
                Effect.andThen(attempt(spec, wish.tag)),
              ),
        ),
        Effect.catchTag("ImageAbsent", ({ error }) => error),
        Effect.ensuring(Effect.sync(() => starting.delete(name))),
        Effect.provideContext(context),
      )
    })
})

const sendSignal = Effect.fnUntraced(function* (
  install: string,
  ref: ContainerRef,
  signal: "SIGTERM" | "SIGKILL",
) {
  if (ref.labels.install !== install || ref.handle === "") return
  const engine = yield* DockerEngine
  const watcher = yield* DockerWatcher
  watcher.signalling(ref.handle)
  yield* engine
    .ask(`${signal} can't be sent`, (docker, abortSignal) =>
      docker.getContainer(ref.handle).kill({ signal, abortSignal }),
    )
    .pipe(
      // Gone, or not running: as asked.
      Effect.catchIf(
        (error) => isRefused(error, 404, 409),
        () => Effect.void,
      ),
      unavailable(`${signal} can't be sent to ${short(ref)}`),
    )
})

/** Null: it is gone. */
const statusOf = Effect.fnUntraced(
  function* (ref: ContainerRef, lives: boolean) {
    const watcher = yield* DockerWatcher
    if (lives) return { _tag: "Running", ref, startedAt: null } satisfies ContainerStatus
    const known = watcher.exitOf(ref.handle)
    if (known !== undefined) return { _tag: "Exited", ref, exit: known } satisfies ContainerStatus
    const info = yield* inspect(ref.handle)
    if (!isOver(info.State))
      return {
        _tag: "Running",
        ref,
        startedAt: engineTime(info.State.StartedAt),
      } satisfies ContainerStatus
    watcher.suspect(ref.handle)
    const exit = containerExit(info, watcher.heardOf(ref.handle))
    return { _tag: "Exited", ref, exit } satisfies ContainerStatus
  },
  Effect.catchIf(
    (error) => isRefused(error, 404),
    () => Effect.succeed(null),
  ),
)

const list = Effect.fnUntraced(function* (install: DockerRuntimeOptions["install"], starting: Set<string>) {
  const engine = yield* DockerEngine
  const summaries = yield* engine.ask("the containers can't be listed", (docker, abortSignal) =>
    docker.listContainers({ all: true, filters: { label: [labelFilter(install)] }, abortSignal }),
  )
  const found = yield* Effect.forEach(
    summaries,
    ({ Id, Labels, Names, State }) => {
      const labels = labelsOfEngine(Labels)
      if (labels?.install !== install) return Effect.succeed(null)
      const name = (Names[0] ?? "").replace(/^\//, "")
      const lives = ["running", "paused", "restarting"].includes(State) || starting.has(name)
      return statusOf({ labels, handle: Id }, lives)
    },
    { concurrency: INSPECTIONS_AT_ONCE },
  )
  return found.filter((status) => status !== null)
}, unavailable("what runs can't be told"))

const output = Effect.fnUntraced(function* (ref: ContainerRef, maxBytes: number) {
  const engine = yield* DockerEngine
  const tail = makeOutputTail(maxBytes)
  const bytes = yield* engine
    .ask("its output can't be read", (docker, abortSignal) =>
      docker.getContainer(ref.handle).logs({ follow: false, stdout: true, stderr: true, abortSignal }),
    )
    .pipe(
      Effect.catchIf(
        (error) => isRefused(error, 404),
        () => Effect.succeed(Buffer.alloc(0)),
      ),
      unavailable(`the output of ${short(ref)} can't be read`),
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
  function* (install: string, ref: ContainerRef) {
    const watcher = yield* DockerWatcher
    const engine = yield* DockerEngine
    if (ref.labels.install !== install)
      return yield* new EngineError({
        kind: "refused",
        status: null,
        message: "it belongs to another install",
      })
    if (ref.handle !== "")
      yield* engine
        .change("it can't be removed", (docker, abortSignal) =>
          docker.getContainer(ref.handle).remove({ force: false, v: true, abortSignal }),
        )
        .pipe(
          Effect.catchIf(
            (error) => isRefused(error, 404) || isBeingRemoved(error),
            () => Effect.void,
          ),
        )
    yield* watcher.forget(ref.handle)
  },
  (effect, _, ref) => unavailable(`${short(ref)} can't be removed`)(effect),
)

const make = Effect.fnUntraced(function* (options: DockerRuntimeOptions) {
  const { install } = options
  const hub = makeRuntimeEventHub(EVENT_CAPACITY)
  yield* Effect.addFinalizer(() => Effect.sync(hub.close))
  const watcher = yield* makeDockerWatcher(install, hub.publish)
  const engine = yield* DockerEngine
  const asked = <A, E>(effect: Effect.Effect<A, E, DockerEngine | DockerWatcher>): Effect.Effect<A, E> =>
    effect.pipe(Effect.provideService(DockerEngine, engine), Effect.provideService(DockerWatcher, watcher))
  /** Names with a start under way: what the engine shows of them is not an end. */
  const starting = new Set<string>()
  return ContainerRuntime.of({
    kind: "docker",
    bootId: processTable().bootId,
    start: yield* Effect.provideService(makeStart(options, starting), DockerWatcher, watcher),
    stop: (ref) => asked(sendSignal(install, ref, "SIGTERM")),
    kill: (ref) => asked(sendSignal(install, ref, "SIGKILL")),
    list: asked(list(install, starting)),
    adopt: (ref) => watcher.adopt(ref).pipe(unavailable(`${short(ref)} can't be adopted`)),
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
