/**
 * How an agent becomes a container: create, then start. Everything else here happens only when something is out of the ordinary.
 * A start that fails leaves no container of its labels, or says that nobody can vouch for that.
 */
import { Effect } from "effect"
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
import type { ContainerRef, LaunchSpec } from "../../services/ContainerRuntime.ts"
import { environmentOf, messageOf, refusal } from "../runtime/Launching.ts"
import { containerBody } from "./ContainerBody.ts"
import { change, type EngineError, inspect, isRefused, orElse, removeContainer } from "./DockerEngine.ts"
import { isOver } from "./DockerExit.ts"
import { engineLabels, labelsOfEngine } from "./DockerLabels.ts"
import { startErrorOf } from "./DockerStartError.ts"
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

const describe = (
  options: LaunchOptions,
  spec: LaunchSpec,
  image: string,
  host: HostIdentity,
): ContainerSpec =>
  buildContainerSpec({
    ...spec,
    image,
    labels: engineLabels(spec.labels),
    host,
    sandbox: { ...options.sandbox, ...spec.sandbox },
    env: environmentOf(spec),
    places: {
      ...spec,
      runnerDir: spec.runnerDir ?? dirname(options.runnerEntry),
      runnerEntry: basename(options.runnerEntry),
      skills: spec.skills ?? null,
      stateDir: spec.stateDir ?? null,
    },
    extraBinds: spec.binds ?? [],
    maxLogBytes: 2 * options.maxOutputBytes,
  })

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
        catch: (error) => refusal("Configuration", `the session's files: ${messageOf(error)}`),
      })

/** Just before the create: a folder that was a folder when it was admitted may be a link by now. */
const checkSources = Effect.fnUntraced(function* ({ binds = [], runnerDir = null }: LaunchSpec) {
  for (const source of [...binds.map((bind) => bind.source), ...(runnerDir === null ? [] : [runnerDir])]) {
    const found = yield* Effect.promise(() => realpath(source).catch(() => null))
    if (found !== source)
      return yield* refusal(
        "Configuration",
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
    const { Config, Id, State } = yield* inspect(name)
    const labels = labelsOfEngine(Config.Labels)
    const id = Id.slice(0, 12)
    if (labels?.install !== install || !isOver(State))
      return yield* refusal("NameTaken", `container ${id} has the name ${name} and is ${State.Status}`)
    if (State.Status === "created")
      return yield* removeContainer("a container that never started can't be removed", Id, false)
    yield* change("a container that is over can't be renamed", (docker, abortSignal) =>
      docker.getContainer(Id).rename({ name: `${name}-${labels.incarnation}-${id}`, abortSignal }),
    )
  },
  // Gone since: the name is free.
  orElse(undefined, 404),
)

/** A name that is taken is freed once. */
const createContainer = (install: InstallId, spec: ContainerSpec) => {
  const create = change(`the container of ${spec.name} can't be created`, (docker, abortSignal) =>
    docker.createContainer({ ...containerBody(spec), abortSignal }),
  )
  return create.pipe(
    Effect.catchIf(
      (error) => isRefused(error, 409),
      () => Effect.andThen(freeName(install, spec.name), create),
    ),
    Effect.mapError((error) => {
      if (error._tag === "StartError") return error
      return isRefused(error, 409) ? refusal("NameTaken", error.message) : startErrorOf(error, spec.image)
    }),
  )
}

/** After a start that the engine refused: nothing of it is left, or nobody can vouch for that. */
const discard = Effect.fnUntraced(function* (id: string, error: EngineError, image: string) {
  if (error.kind === "refused")
    yield* Effect.mapError(
      removeContainer("a container that did not start can't be removed", id, true),
      ({ message }) => refusal("Ambiguous", `${error.message}; ${message}`),
    )
  return yield* error.kind === "refused" ? startErrorOf(error, image) : refusal("Ambiguous", error.message)
})

/** Creates the container, starts it and watches it. */
export const launch = Effect.fnUntraced(function* (
  options: LaunchOptions,
  spec: LaunchSpec,
  image: string,
  host: HostIdentity,
) {
  const watcher = yield* DockerWatcher
  yield* giveFiles(spec, host, { ...options.sandbox, ...spec.sandbox }.user)
  yield* checkSources(spec)
  const { id } = yield* createContainer(options.install, describe(options, spec, image, host))
  const ref: ContainerRef = { labels: spec.labels, handle: id }
  watcher.expect(ref)
  yield* change(`the container of ${spec.name} can't be started`, (docker, abortSignal) =>
    docker.getContainer(id).start({ abortSignal }),
  ).pipe(Effect.catch((error) => Effect.andThen(watcher.forget(id), discard(id, error, image))))
  yield* watcher.watch(ref)
  return ref
})
