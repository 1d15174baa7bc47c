/**
 * How an agent becomes a container: create, then start. Everything else here happens only when something is out of the ordinary.
 * A start that fails leaves no container of its labels, or says that nobody can vouch for that.
 */
import { Effect, Redacted, Schema } from "effect"
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
import { type ContainerRef, type LaunchSpec, StartError } from "../../services/ContainerRuntime.ts"
import { containerBody } from "./ContainerBody.ts"
import { inspect } from "./ContainerWatch.ts"
import { DockerEngine, type EngineError, isRefused } from "./DockerEngine.ts"
import { isOver } from "./DockerExit.ts"
import { engineLabels, labelsOfEngine } from "./DockerLabels.ts"
import { isImageMissing, startErrorOf } from "./DockerStartError.ts"
import { DockerWatcher } from "./DockerWatcher.ts"
import { giveTo } from "./HostOwnership.ts"

export interface LaunchOptions {
  readonly install: InstallId
  /** `container/agent-runner/main.ts`; its folder is mounted at /app/src. */
  readonly runnerEntry: string
  readonly sandbox: Sandbox
  /** Of stdout and stderr, per container. */
  readonly maxOutputBytes: number
}

/** The engine has no such image. */
export class ImageAbsent extends Schema.TaggedError<ImageAbsent>()("ImageAbsent", {
  error: StartError,
}) {}

const configuration = (message: string): StartError => new StartError({ reason: "Configuration", message })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Somebody is about to remove it already. */
export const isBeingRemoved = (error: EngineError): boolean =>
  isRefused(error, 409) && /already in progress/i.test(error.message)

const describe = (
  options: LaunchOptions,
  spec: LaunchSpec,
  image: string,
  host: HostIdentity,
): ContainerSpec => {
  const secrets = Object.entries(spec.secrets ?? {}).map(([name, secret]) => [name, Redacted.value(secret)])
  return buildContainerSpec({
    name: spec.name,
    image,
    labels: engineLabels(spec.labels),
    host,
    sandbox: { ...options.sandbox, ...spec.sandbox },
    // Whoever may ask the engine can see them there; a gateway is the way without.
    env: { ...spec.env, ...Object.fromEntries(secrets) },
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
}

/** A daemon with root gives the session's files to the container's user. */
const giveFiles = (spec: LaunchSpec, host: HostIdentity, user: string | null) =>
  host.uid !== 0 || host.engine !== "rootful"
    ? Effect.void
    : Effect.tryPromise({
        try: () =>
          giveTo(containerUser(host, user), {
            fresh: [spec.inDir, spec.outDir],
            shared: [spec.groupDir, ...(spec.stateDir === undefined ? [] : [spec.stateDir])],
          }),
        catch: (error) => configuration(`the session's files: ${messageOf(error)}`),
      })

/** Just before the create: a folder that was a folder when it was admitted may be a link by now. */
const checkSources = Effect.fnUntraced(function* ({ binds = [], runnerDir = null }: LaunchSpec) {
  for (const source of [...binds.map((bind) => bind.source), ...(runnerDir === null ? [] : [runnerDir])]) {
    const found = yield* Effect.promise(() => realpath(source).catch(() => null))
    if (found !== source)
      return yield* configuration(
        `the mount of ${source} is not made: by now it ${found === null ? "is gone" : `leads to ${found}`}`,
      )
  }
})

/**
 * The name is taken. By one that runs: refused. By one that is over and waits to be read: it gives up the name and keeps
 * everything else. By one that never started: it goes, because somebody may be about to start it, and what is removed can't
 * be started any more.
 */
const freeName = Effect.fnUntraced(
  function* (install: InstallId, name: string) {
    const engine = yield* DockerEngine
    const info = yield* inspect(name)
    const labels = labelsOfEngine(info.Config.Labels)
    const taken = new StartError({
      reason: "NameTaken",
      message: `container ${info.Id.slice(0, 12)} has the name ${name} and is ${info.State.Status}`,
    })
    if (labels?.install !== install || !isOver(info.State)) return yield* taken
    const change =
      info.State.Status === "created"
        ? engine.change("a container that never started can't be removed", (docker, abortSignal) =>
            docker.getContainer(info.Id).remove({ force: false, v: true, abortSignal }),
          )
        : engine.change("a container that is over can't be renamed", (docker, abortSignal) =>
            docker.getContainer(info.Id).rename({
              name: `${name}-${labels.incarnation}-${info.Id.slice(0, 12)}`,
              abortSignal,
            }),
          )
    yield* Effect.catchIf(
      Effect.asVoid(change as Effect.Effect<unknown, EngineError>),
      (error) => isRefused(error, 409),
      () => taken,
    )
  },
  // Gone since: the name is free.
  Effect.catchIf(
    (error) => error._tag === "EngineError" && isRefused(error, 404),
    () => Effect.void,
  ),
)

/** A name that is taken is freed once. */
const createContainer = Effect.fnUntraced(function* (install: InstallId, spec: ContainerSpec) {
  const engine = yield* DockerEngine
  const create = engine.change(`the container of ${spec.name} can't be created`, (docker, abortSignal) =>
    docker.createContainer({ ...containerBody(spec), abortSignal }),
  )
  const { id } = yield* create.pipe(
    Effect.catchIf(
      (error) => isRefused(error, 409),
      () =>
        Effect.andThen(freeName(install, spec.name), create).pipe(
          Effect.mapError((error) =>
            error._tag === "EngineError" && isRefused(error, 409)
              ? new StartError({ reason: "NameTaken", message: error.message })
              : error,
          ),
        ),
    ),
    Effect.mapError((error) => {
      if (error._tag === "StartError") return error
      const meaning = startErrorOf(error, spec.image)
      return isImageMissing(error) ? new ImageAbsent({ error: meaning }) : meaning
    }),
  )
  return id
})

/** After a start that the engine refused: nothing of it is left, or nobody can vouch for that. */
const discard = Effect.fnUntraced(function* (id: string, error: EngineError, image: string) {
  const ambiguous = (message: string) => new StartError({ reason: "Ambiguous", message })
  if (error.kind !== "refused") return yield* ambiguous(error.message)
  const engine = yield* DockerEngine
  yield* engine
    .change("a container that did not start can't be removed", (docker, abortSignal) =>
      docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
    )
    .pipe(
      Effect.catchIf(
        (failure) => !isRefused(failure, 404) && !isBeingRemoved(failure),
        (failure) => ambiguous(`${error.message}; ${failure.message}`),
      ),
      Effect.catchTag("EngineError", () => Effect.void),
    )
  return yield* startErrorOf(error, image)
})

/** Creates the container, starts it and watches it. */
export const launch = Effect.fnUntraced(function* (
  options: LaunchOptions,
  spec: LaunchSpec,
  image: string,
  host: HostIdentity,
) {
  const { labels } = spec
  if (labels.install !== options.install)
    return yield* configuration(`install ${labels.install} is not this one's, ${options.install}`)
  const engine = yield* DockerEngine
  const watcher = yield* DockerWatcher
  const described = describe(options, spec, image, host)
  yield* giveFiles(spec, host, { ...options.sandbox, ...spec.sandbox }.user)
  yield* checkSources(spec)
  const id = yield* createContainer(options.install, described)
  const ref: ContainerRef = { labels, handle: id }
  watcher.expect(ref)
  yield* engine
    .change(`the container of ${spec.name} can't be started`, (docker, abortSignal) =>
      docker.getContainer(id).start({ abortSignal }),
    )
    .pipe(Effect.catch((error) => Effect.andThen(watcher.forget(id), discard(id, error, described.image))))
  yield* watcher.watch(ref)
  return ref
})
