/**
 * Runs agents in hardened containers of a Docker engine. The engine keeps what is true: containers are found by their labels and
 * refused twice by their name, so that nothing has to be remembered across a restart of the daemon. A start is two calls,
 * create and start; everything else happens only when something is out of the ordinary.
 */
import type { ContainerInspectInfo } from "dockerode"
import { Effect, Layer, Redacted } from "effect"
import { realpath } from "node:fs/promises"
import { basename, dirname } from "node:path"
import {
  buildContainerSpec,
  containerUser,
  type ContainerSpec,
  type HostIdentity,
  type Sandbox,
} from "../../domain/ContainerSpec.ts"
import type { InstallId } from "../../domain/Ids.ts"
import type { ImageWish } from "../../domain/ImagePlan.ts"
import { noPackages } from "../../domain/PackageNames.ts"
import {
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type LaunchSpec,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { makeRuntimeEventHub } from "../memory/RuntimeEventHub.ts"
import { processTable } from "../process/ProcessTable.ts"
import { containerFacts } from "./ContainerFacts.ts"
import { containerBody } from "./ContainerBody.ts"
import { type DockerEngine, EngineError, type EngineOptions, makeDockerEngine } from "./DockerEngine.ts"
import { engineExit, type EngineState, engineTime, isOver } from "./DockerExit.ts"
import { engineLabels, labelFilter, labelsOfEngine } from "./DockerLabels.ts"
import { isImageMissing, startErrorOf } from "./DockerStartError.ts"
import { makeDockerWatcher } from "./DockerWatcher.ts"
import { imageOf } from "./GroupImage.ts"
import { type ImageBuilderOptions, loggedImageBuilder } from "./ImageBuilder.ts"
import { giveTo } from "./HostOwnership.ts"
import { makeFrameReader, makeTail } from "./LogFrames.ts"

export interface DockerRuntimeOptions extends EngineOptions {
  readonly install: InstallId
  /** `container/agent-runner/main.ts`; its folder is mounted at /app/src. */
  readonly runnerEntry: string
  /** For groups that name none. */
  readonly image: string
  readonly sandbox: Sandbox
  /** Of stdout and stderr, per container. */
  readonly maxOutputBytes: number
  /** What may be built when the engine lacks it; null: nothing. Looked at only after a create that was refused for its image. */
  readonly images: Omit<ImageBuilderOptions, "tell" | "now" | "agent" | "install"> | null
  /** For tests: the very engine to use. */
  readonly engine?: DockerEngine
}

const EVENT_CAPACITY = 2_048
const MAX_TAIL_BYTES = 16 * 1024 * 1024
const INSPECTIONS_AT_ONCE = 8

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The engine has no such image, and one can be built. */
class ImageAbsent extends Error {
  readonly image: string

  constructor(image: string) {
    super(`the engine has no image ${image}`)
    this.image = image
  }
}

const revealed = (secrets: Readonly<Record<string, Redacted.Redacted>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, Redacted.value(secret)]))

const unavailable = (what: string) => (error: unknown) =>
  new RuntimeUnavailable({ message: `${what}: ${messageOf(error)}` })

const isRefused = (error: unknown, ...statuses: ReadonlyArray<number>): boolean =>
  error instanceof EngineError && error.status !== null && statuses.includes(error.status)

const isBeingRemoved = (error: unknown): boolean =>
  isRefused(error, 409) && /already in progress/i.test(messageOf(error))

const make = Effect.fnUntraced(function* (options: DockerRuntimeOptions) {
  const engine = options.engine ?? makeDockerEngine(options)
  const { docker } = engine
  const hub = makeRuntimeEventHub(EVENT_CAPACITY)
  const watcher = makeDockerWatcher(engine, options.install, hub.publish)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      watcher.close()
      hub.close()
    }),
  )

  const builder =
    options.images === null
      ? null
      : yield* loggedImageBuilder(engine, {
          ...options.images,
          agent: options.image,
          install: options.install,
        })
  if (builder !== null) yield* Effect.addFinalizer(() => Effect.sync(builder.close))

  /** Names with a start under way: what the engine shows of them is not an end. */
  const starting = new Set<string>()
  let host: HostIdentity | undefined

  /** Asked once in a daemon's life. */
  const hostIdentity = async (): Promise<HostIdentity> => {
    if (host !== undefined) return host
    // The published types know no way to give this one up.
    const ask = docker.info.bind(docker) as (options: { abortSignal: AbortSignal }) => Promise<{
      readonly SecurityOptions?: ReadonlyArray<string>
    }>
    const info = await engine.ask("the engine can't be asked what it is", (abortSignal) =>
      ask({ abortSignal }),
    )
    const rootless = (info.SecurityOptions ?? []).some((option) => option.startsWith("name=rootless"))
    host = {
      uid: process.getuid?.() ?? 1_000,
      gid: process.getgid?.() ?? 1_000,
      engine: rootless ? "rootless" : "rootful",
    }
    return host
  }

  const wishOf = (spec: LaunchSpec): ImageWish =>
    imageOf({
      install: options.install,
      group: spec.labels.group,
      from: spec.image ?? options.image,
      packages: spec.packages ?? noPackages,
    })

  const describe = (spec: LaunchSpec, identity: HostIdentity): ContainerSpec =>
    buildContainerSpec({
      name: spec.name,
      image: wishOf(spec).tag,
      labels: engineLabels(spec.labels),
      host: identity,
      sandbox: { ...options.sandbox, ...spec.sandbox },
      // Whoever may ask the engine can see them there; a gateway is the way without.
      env: { ...spec.env, ...revealed(spec.secrets ?? {}) },
      places: {
        inDir: spec.inDir,
        outDir: spec.outDir,
        groupDir: spec.groupDir,
        globalDir: spec.globalDir,
        containerJson: spec.containerJson,
        runnerDir: spec.runnerDir ?? dirname(options.runnerEntry),
        runnerEntry: basename(options.runnerEntry),
        skills: spec.skills ?? null,
        stateDir: spec.stateDir ?? null,
      },
      extraBinds: spec.binds ?? [],
      hostNames: spec.hostNames ?? [],
      maxLogBytes: 2 * options.maxOutputBytes,
      graceMs: spec.graceMs,
    })

  const create = (spec: ContainerSpec): Promise<string> =>
    engine
      .change(`the container of ${spec.name} can't be created`, (abortSignal) =>
        docker.createContainer({ ...containerBody(spec), abortSignal }),
      )
      .then(({ id }) => id)

  /**
   * The name is taken. By one that runs: refused. By one that is over and waits to be read: it gives up the name and keeps
   * everything else. By one that never started: it goes, because somebody may be about to start it, and what is removed can't
   * be started any more.
   */
  const freeName = async (spec: ContainerSpec): Promise<void> => {
    let info: ContainerInspectInfo
    try {
      info = await engine.ask("the container of that name can't be inspected", (abortSignal) =>
        docker.getContainer(spec.name).inspect({ abortSignal }),
      )
    } catch (error) {
      // Gone since: the name is free.
      if (isRefused(error, 404)) return
      throw error
    }
    const labels = labelsOfEngine(info.Config.Labels)
    const taken = new StartError({
      reason: "NameTaken",
      message: `container ${info.Id.slice(0, 12)} has the name ${spec.name} and is ${info.State.Status}`,
    })
    if (labels?.install !== options.install || !isOver(info.State as EngineState)) throw taken
    const container = docker.getContainer(info.Id)
    try {
      if (info.State.Status === "created")
        await engine.change("a container that never started can't be removed", (abortSignal) =>
          container.remove({ force: false, v: true, abortSignal }),
        )
      else
        await engine.change("a container that is over can't be renamed", (abortSignal) =>
          container.rename({
            name: `${spec.name}-${labels.incarnation}-${info.Id.slice(0, 12)}`,
            abortSignal,
          }),
        )
    } catch (error) {
      if (isRefused(error, 404)) return
      throw isRefused(error, 409) ? taken : error
    }
  }

  /** `healed`: what was missing at the first create has been built since. A name that is taken is freed once. */
  const createContainer = async (
    spec: ContainerSpec,
    image: "unseen" | "healed",
    name: "unseen" | "freed" = "unseen",
  ): Promise<string> => {
    try {
      return await create(spec)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      if (image === "unseen" && isImageMissing(error) && builder !== null) throw new ImageAbsent(spec.image)
      if (error.status !== 409) throw error
      if (name === "freed") throw new StartError({ reason: "NameTaken", message: error.message })
    }
    await freeName(spec)
    return createContainer(spec, image, "freed")
  }

  /** After a start that the engine refused: nothing of it is left, or nobody can vouch for that. */
  const discard = async (id: string, error: EngineError, image: string): Promise<StartError> => {
    if (error.kind !== "refused") return new StartError({ reason: "Ambiguous", message: error.message })
    try {
      await engine.change("a container that did not start can't be removed", (abortSignal) =>
        docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
      )
    } catch (failure) {
      if (!isRefused(failure, 404) && !isBeingRemoved(failure))
        return new StartError({ reason: "Ambiguous", message: `${error.message}; ${messageOf(failure)}` })
    }
    return startErrorOf(error, image)
  }

  /** Just before the create: a folder that was a folder when it was admitted may be a link by now. */
  const checkSources = async ({ binds = [], runnerDir = null }: LaunchSpec): Promise<void> => {
    for (const source of [...binds.map((bind) => bind.source), ...(runnerDir === null ? [] : [runnerDir])]) {
      const found = await realpath(source).catch(() => null)
      if (found !== source)
        throw new StartError({
          reason: "Configuration",
          message: `the mount of ${source} is not made: by now it ${found === null ? "is gone" : `leads to ${found}`}`,
        })
    }
  }

  const launch = async (launchSpec: LaunchSpec, image: "unseen" | "healed"): Promise<ContainerRef> => {
    const { labels } = launchSpec
    if (labels.install !== options.install)
      throw new StartError({
        reason: "Configuration",
        message: `install ${labels.install} is not this one's, ${options.install}`,
      })
    const identity = await hostIdentity()
    const spec = describe(launchSpec, identity)
    if (identity.uid === 0 && identity.engine === "rootful")
      await giveTo(containerUser(identity, spec.sandbox.user), {
        fresh: [launchSpec.inDir, launchSpec.outDir],
        shared: [launchSpec.groupDir, ...(launchSpec.stateDir === undefined ? [] : [launchSpec.stateDir])],
      }).catch((error: unknown) => {
        throw new StartError({ reason: "Configuration", message: `the session's files: ${messageOf(error)}` })
      })
    await checkSources(launchSpec)
    const id = await createContainer(spec, image)
    try {
      await engine.change(`the container of ${spec.name} can't be started`, (abortSignal) =>
        docker.getContainer(id).start({ abortSignal }),
      )
    } catch (error) {
      throw error instanceof EngineError ? await discard(id, error, spec.image) : error
    }
    const ref = { labels, handle: id }
    watcher.watch(ref)
    return ref
  }

  const failureOf = (spec: LaunchSpec, error: unknown): StartError =>
    error instanceof StartError
      ? error
      : error instanceof EngineError
        ? startErrorOf(error, spec.image ?? options.image)
        : new StartError({ reason: "Configuration", message: messageOf(error) })

  /** From create to start nothing may interrupt; a build, before anything of the session exists, can be left. */
  const start = (spec: LaunchSpec): Effect.Effect<ContainerRef, StartError> =>
    Effect.uninterruptibleMask((restore) => {
      if (starting.has(spec.name))
        return Effect.fail(
          new StartError({
            reason: "NameTaken",
            message: `session ${spec.labels.session} is being started already`,
          }),
        )
      starting.add(spec.name)
      const attempt = (image: "unseen" | "healed") =>
        Effect.tryPromise({
          try: () => launch(spec, image),
          catch: (error) => (error instanceof ImageAbsent ? error : failureOf(spec, error)),
        })
      return attempt("unseen").pipe(
        Effect.catch((error) =>
          error instanceof ImageAbsent && builder !== null
            ? restore(
                Effect.tryPromise({
                  try: () => builder.heal(wishOf(spec), spec.labels.group),
                  catch: (failure) => failureOf(spec, failure),
                }),
              ).pipe(Effect.andThen(attempt("healed")))
            : Effect.fail(error),
        ),
        Effect.mapError((error) => (error instanceof ImageAbsent ? failureOf(spec, error) : error)),
        Effect.ensuring(Effect.sync(() => starting.delete(spec.name))),
      )
    })

  const send = (ref: ContainerRef, signal: "SIGTERM" | "SIGKILL") =>
    Effect.tryPromise({
      try: async () => {
        if (ref.labels.install !== options.install || ref.handle === "") return
        watcher.signalling(ref.handle)
        try {
          await engine.ask(`${signal} can't be sent`, (abortSignal) =>
            docker.getContainer(ref.handle).kill({ signal, abortSignal }),
          )
        } catch (error) {
          // Gone, or not running: as asked.
          if (!isRefused(error, 404, 409)) throw error
        }
      },
      catch: unavailable(`${signal} can't be sent to ${ref.handle.slice(0, 12)}`),
    })

  const statusOf = async (
    summary: { readonly Id: string; readonly State: string; readonly Created: number },
    ref: ContainerRef,
    name: string,
  ): Promise<ContainerStatus | null> => {
    const lives = ["running", "paused", "restarting"].includes(summary.State)
    if (lives || starting.has(name)) return { _tag: "Running", ref, startedAt: null }
    const known = watcher.exitOf(ref.handle)
    if (known !== undefined) return { _tag: "Exited", ref, exit: known }
    try {
      const { State } = await engine.ask("a container can't be inspected", (abortSignal) =>
        docker.getContainer(ref.handle).inspect({ abortSignal }),
      )
      if (!isOver(State as EngineState))
        return { _tag: "Running", ref, startedAt: engineTime(State.StartedAt) }
      watcher.suspect(ref.handle)
      return { _tag: "Exited", ref, exit: engineExit(State as EngineState, watcher.heardOf(ref.handle)) }
    } catch (error) {
      if (isRefused(error, 404)) return null
      throw error
    }
  }

  const list = async (): Promise<ReadonlyArray<ContainerStatus>> => {
    const summaries = await engine.ask("the containers can't be listed", (abortSignal) =>
      docker.listContainers({ all: true, filters: { label: [labelFilter(options.install)] }, abortSignal }),
    )
    const found: Array<ContainerStatus> = []
    for (let at = 0; at < summaries.length; at += INSPECTIONS_AT_ONCE) {
      const some = summaries.slice(at, at + INSPECTIONS_AT_ONCE).map(async (summary) => {
        const labels = labelsOfEngine(summary.Labels)
        if (labels?.install !== options.install) return null
        const name = (summary.Names[0] ?? "").replace(/^\//, "")
        return statusOf(summary, { labels, handle: summary.Id }, name)
      })
      for (const status of await Promise.all(some)) if (status !== null) found.push(status)
    }
    return found
  }

  const output = async (ref: ContainerRef, maxBytes: number) => {
    const limit = Math.min(Math.max(0, maxBytes), MAX_TAIL_BYTES)
    const tails = { stdout: makeTail(limit), stderr: makeTail(limit) }
    try {
      const bytes = await engine.ask("its output can't be read", (abortSignal) =>
        docker.getContainer(ref.handle).logs({ follow: false, stdout: true, stderr: true, abortSignal }),
      )
      makeFrameReader((source, part) => tails[source].feed(part))(bytes)
    } catch (error) {
      if (!isRefused(error, 404)) throw error
    }
    // A log without them is better than none.
    const facts = await engine
      .ask("it can't be inspected", (abortSignal) => docker.getContainer(ref.handle).inspect({ abortSignal }))
      .then(containerFacts, () => [])
    return { stdout: tails.stdout.text(), stderr: tails.stderr.text(), facts }
  }

  const remove = async (ref: ContainerRef): Promise<void> => {
    if (ref.labels.install !== options.install) throw new Error("it belongs to another install")
    if (ref.handle !== "")
      try {
        await engine.change("it can't be removed", (abortSignal) =>
          docker.getContainer(ref.handle).remove({ force: false, v: true, abortSignal }),
        )
      } catch (error) {
        if (!isRefused(error, 404) && !isBeingRemoved(error)) throw error
      }
    watcher.forget(ref.handle)
  }

  return ContainerRuntime.of({
    kind: "docker",
    bootId: processTable().bootId,
    start,
    stop: (ref) => send(ref, "SIGTERM"),
    kill: (ref) => send(ref, "SIGKILL"),
    list: Effect.tryPromise({ try: list, catch: unavailable("what runs can't be told") }),
    adopt: (ref) =>
      Effect.tryPromise({
        try: () => watcher.adopt(ref),
        catch: unavailable(`${ref.handle.slice(0, 12)} can't be adopted`),
      }),
    output: (ref, maxBytes) =>
      Effect.tryPromise({
        try: () => output(ref, maxBytes),
        catch: unavailable(`the output of ${ref.handle.slice(0, 12)} can't be read`),
      }),
    remove: (ref) =>
      Effect.tryPromise({
        try: () => remove(ref),
        catch: unavailable(`${ref.handle.slice(0, 12)} can't be removed`),
      }),
    events: hub.events,
  })
})

export const DockerRuntime = {
  layer: (options: DockerRuntimeOptions): Layer.Layer<ContainerRuntime> =>
    Layer.effect(ContainerRuntime, make(options)),
}
