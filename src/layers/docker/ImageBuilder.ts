/**
 * Builds the images of ours that an engine lacks. However many sessions want one, it is built once; a build that fails is not tried
 * again before its backoff, and whoever asks meanwhile is told its last lines. Nothing here is called while an image is there.
 */
import { Clock, Effect, Fiber, FiberMap, Option } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { Readable } from "node:stream"
import type { GroupId, InstallId } from "../../domain/Ids.ts"
import {
  buildBackoffMs,
  type ImagePlan,
  type ImageWish,
  type OwnImages,
  planImage,
} from "../../domain/ImagePlan.ts"
import type { StartError } from "../../services/ContainerRuntime.ts"
import { refusal } from "../runtime/Launching.ts"
import { singleFileArchive } from "./BuildContext.ts"
import { makeBuildOutput } from "./BuildOutput.ts"
import { DockerEngine, type EngineError, hasImage, nextBytes } from "./DockerEngine.ts"
import { collectImages, imageLabels } from "./ImageCollection.ts"

export interface ImageBuilderOptions extends OwnImages {
  readonly install: InstallId
  /** The folder that holds the Dockerfile. */
  readonly contextDir: string
  readonly timeoutMs: number
  /** The network of builds that install packages: `default`, `host`, `none` or one of the engine's. */
  readonly network: string
  /** Once aborted, what is being built is given up, and the engine stops it. */
  readonly giveUp?: AbortSignal | undefined
  /** Progress, a line at a time. */
  readonly tell: (line: string) => Effect.Effect<void>
}

type Build = Exclude<ImagePlan, { readonly _tag: "Refuse" }>

const missing = (message: string): StartError => refusal("ImageMissing", message)

const dockerfileOf = (plan: Build, contextDir: string) =>
  plan._tag === "BuildGroup"
    ? Effect.succeed(plan.dockerfile)
    : Effect.tryPromise({
        try: () => fs.readFile(join(contextDir, "Dockerfile"), "utf8"),
        catch: (error) => missing(`the agent image's Dockerfile can't be read: ${String(error)}`),
      })

/** Has the engine build it, and hears what it says to the end. The engine stops when nobody listens any more. */
const hearBuild = Effect.fnUntraced(function* (
  options: ImageBuilderOptions,
  plan: Build,
  group: GroupId | null,
  output: ReturnType<typeof makeBuildOutput>,
) {
  const engine = yield* DockerEngine
  const dockerfile = yield* dockerfileOf(plan, options.contextDir)
  const stream = yield* engine.stream(`image ${plan.tag} can't be built`, (docker, abortSignal) =>
    docker.buildImage(Readable.from([singleFileArchive("Dockerfile", dockerfile)]), {
      t: plan.tag,
      rm: true,
      forcerm: true,
      buildargs: { BASE_IMAGE: plan.from },
      labels: imageLabels(options.install, plan._tag === "BuildGroup" ? group : null),
      // The agent image makes folders and a user: nothing to fetch, and a host without a bridge can build it too.
      networkmode: plan._tag === "BuildAgent" ? "none" : options.network,
      abortSignal,
    }),
  )
  for (let bytes = yield* nextBytes(stream); bytes !== null; bytes = yield* nextBytes(stream))
    for (const step of output.feed(bytes)) yield* options.tell(`image ${plan.tag}: ${step}`)
  const fault = output.fault()
  if (fault !== null) return fault
  // A stream that was cut says nothing of how it ended: the engine knows.
  return (yield* hasImage(plan.tag)) ? null : "the engine stopped in the middle of it"
}, Effect.scoped)

const aborted = (signal: AbortSignal | undefined): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const tell = (): void => resume(Effect.void)
    if (signal?.aborted === true) tell()
    signal?.addEventListener("abort", tell, { once: true })
    return Effect.sync(() => signal?.removeEventListener("abort", tell))
  })

const runBuild = Effect.fnUntraced(function* (
  options: ImageBuilderOptions,
  plan: Build,
  group: GroupId | null,
) {
  const { from, tag } = plan
  const output = makeBuildOutput()
  const fault = yield* hearBuild(options, plan, group, output).pipe(
    Effect.timeoutOrElse({
      duration: options.timeoutMs,
      orElse: () => Effect.succeed(`it took longer than ${options.timeoutMs} ms`),
    }),
    Effect.raceFirst(Effect.as(aborted(options.giveUp), "the daemon stopped")),
  )
  if (fault !== null)
    return yield* missing(
      `image ${tag} can't be built from ${from}: ${fault}; its last lines:\n${output.lastLines().join("\n")}`,
    )
  yield* options.tell(`image ${tag} is built`)
  yield* collectImages(options.install, group, tag)
})

/** What is being built when the scope closes is given up: the engine stops it. */
export const makeImageBuilder = Effect.fnUntraced(function* (options: ImageBuilderOptions) {
  const underWay = yield* FiberMap.make<string, void, StartError | EngineError>()
  const failed = new Map<
    string,
    { readonly failures: number; readonly until: number; readonly why: string }
  >()

  const attempt = Effect.fnUntraced(function* (plan: Build, group: GroupId | null) {
    // An engine that lacks the base would look for it in a registry.
    if (plan._tag === "BuildGroup" && !(yield* hasImage(plan.from)))
      yield* ensure({ tag: plan.from, layered: null }, null)
    yield* options.tell(`image ${plan.tag}: building it from ${plan.from}`)
    yield* runBuild(options, plan, group)
    failed.delete(plan.tag)
  })

  const noteFailure = Effect.fnUntraced(function* (tag: string, error: StartError | EngineError) {
    // An engine that can't be reached says nothing about the image.
    if (error._tag === "EngineError" && error.kind === "unreachable") return yield* error
    const failures = (failed.get(tag)?.failures ?? 0) + 1
    const why = error.message
    failed.set(tag, { failures, until: (yield* Clock.currentTimeMillis) + buildBackoffMs(failures), why })
    yield* options.tell(`image ${tag}: the build failed: ${why}`)
    return yield* error._tag === "StartError" ? error : missing(why)
  })

  const once = Effect.fnUntraced(function* (plan: Build, group: GroupId | null) {
    const build = Effect.catch(attempt(plan, group), (error) => noteFailure(plan.tag, error))
    const mine = FiberMap.getUnsafe(underWay, plan.tag)
    yield* Fiber.join(Option.isSome(mine) ? mine.value : yield* FiberMap.run(underWay, plan.tag, build))
  })

  const ensure = Effect.fnUntraced(function* (
    wish: ImageWish,
    group: GroupId | null,
  ): Effect.fn.Return<void, StartError | EngineError, DockerEngine> {
    const plan = planImage(wish, options)
    if (plan._tag === "Refuse") return yield* missing(plan.message)
    const before = failed.get(plan.tag)
    const isUnderWay = FiberMap.hasUnsafe(underWay, plan.tag)
    if (!isUnderWay && before !== undefined && (yield* Clock.currentTimeMillis) < before.until)
      return yield* missing(
        `${before.why}\n(after ${before.failures} failed builds in a row the next is made no sooner than ${new Date(before.until).toISOString()})`,
      )
    yield* once(plan, group)
  })

  return {
    /** Returns when the image is there; a `StartError` says why it can't be. */
    heal: ensure,
    /** Builds it whether or not there is one; a group's image from a base that is there or is built first. */
    build: (wish: ImageWish, group: GroupId | null): ReturnType<typeof ensure> => {
      const plan = planImage(wish, { ...options, build: "missing" })
      return plan._tag === "Refuse" ? missing(plan.message) : once(plan, group)
    },
  }
})
