/**
 * Builds the images of ours that an engine lacks. However many sessions want one, it is built once; a build that fails is not tried
 * again before its backoff, and whoever asks meanwhile is told its last lines. Nothing here is called while an image is there.
 */
import { Effect } from "effect"
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
import { StartError } from "../../services/ContainerRuntime.ts"
import { singleFileArchive } from "./BuildContext.ts"
import { makeBuildOutput } from "./BuildOutput.ts"
import { type DockerEngine, EngineError, hasImage } from "./DockerEngine.ts"
import { AGENT_IMAGE, collectImages, groupImageLabels, IMAGE_LABEL } from "./ImageCollection.ts"

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
  readonly tell: (line: string) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

export interface ImageBuilder {
  /** Returns when the image is there; rejects with a `StartError` that says why it can't be, or an `EngineError`. */
  readonly heal: (wish: ImageWish, group: GroupId) => Promise<void>
  /** Builds it whether or not there is one; a group's image from a base that is there or is built first. */
  readonly build: (wish: ImageWish, group: GroupId | null) => Promise<void>
  /** Gives up what is being built: the engine stops it. */
  readonly close: () => void
}

type Build = Exclude<ImagePlan, { readonly _tag: "Refuse" }>

interface Failure {
  readonly failures: number
  readonly until: number
  readonly why: string
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const missing = (message: string): StartError => new StartError({ reason: "ImageMissing", message })

export const makeImageBuilder = (engine: DockerEngine, options: ImageBuilderOptions): ImageBuilder => {
  const { giveUp } = options
  const closing = new AbortController()
  const underWay = new Map<string, Promise<void>>()
  const failed = new Map<string, Failure>()

  /** Feeds the build's own words to `feed`; resolves at their end, or when `signal` has cut them. */
  const hear = (stream: Readable, signal: AbortSignal, feed: (bytes: Buffer) => void): Promise<void> =>
    new Promise((resolve) => {
      stream.on("data", feed)
      for (const end of ["end", "close", "error"]) stream.once(end, () => resolve())
      const cut = (): void => {
        stream.destroy()
        resolve()
      }
      if (signal.aborted) cut()
      signal.addEventListener("abort", cut, { once: true })
    })

  const run = async (plan: Build, group: GroupId | null): Promise<void> => {
    const { from, tag } = plan
    const output = makeBuildOutput((step) => options.tell(`image ${tag}: ${step}`))
    const late = AbortSignal.timeout(options.timeoutMs)
    const deadline = AbortSignal.any([late, closing.signal, ...(giveUp === undefined ? [] : [giveUp])])
    const dockerfile =
      plan._tag === "BuildAgent"
        ? await fs.readFile(join(options.contextDir, "Dockerfile"), "utf8")
        : plan.dockerfile
    const stream = await engine.stream(`image ${tag} can't be built`, deadline, (abortSignal) =>
      engine.docker.buildImage(Readable.from([singleFileArchive("Dockerfile", dockerfile)]), {
        t: tag,
        rm: true,
        forcerm: true,
        buildargs: { BASE_IMAGE: from },
        labels:
          group === null || plan._tag === "BuildAgent"
            ? { [IMAGE_LABEL]: AGENT_IMAGE }
            : groupImageLabels(options.install, group),
        // The agent image makes folders and a user: nothing to fetch, and a host without a bridge can build it too.
        networkmode: plan._tag === "BuildAgent" ? "none" : options.network,
        abortSignal,
      }),
    )
    await hear(stream, deadline, output.feed)
    const fault = late.aborted
      ? `it took longer than ${options.timeoutMs} ms`
      : deadline.aborted
        ? "the daemon stopped"
        : (output.fault() ??
          // A stream that was cut says nothing of how it ended: the engine knows.
          ((await hasImage(engine, tag)) ? null : "the engine stopped in the middle of it"))
    if (fault !== null)
      throw missing(
        `image ${tag} can't be built from ${from}: ${fault}; its last lines:\n${output.lastLines().join("\n")}`,
      )
    options.tell(`image ${tag} is built`)
    await collectImages(engine, { install: options.install, group, built: tag })
  }

  const once = (plan: Build, group: GroupId | null): Promise<void> => {
    const { from, tag } = plan
    const mine = underWay.get(tag)
    if (mine !== undefined) return mine
    const attempt = async (): Promise<void> => {
      // An engine that lacks the base would look for it in a registry.
      if (plan._tag === "BuildGroup" && !(await hasImage(engine, from)))
        await ensure({ tag: from, layered: null }, null)
      options.tell(`image ${tag}: building it from ${from}`)
      await run(plan, group)
      failed.delete(tag)
    }
    const build = attempt()
      .catch((error: unknown): never => {
        // An engine that can't be reached says nothing about the image.
        if (error instanceof EngineError && error.kind === "unreachable") throw error
        const failures = (failed.get(tag)?.failures ?? 0) + 1
        const why = messageOf(error)
        failed.set(tag, { failures, until: options.now() + buildBackoffMs(failures), why })
        options.tell(`image ${tag}: the build failed: ${why}`)
        throw error instanceof StartError ? error : missing(why)
      })
      .finally(() => underWay.delete(tag))
    underWay.set(tag, build)
    return build
  }

  const ensure = async (wish: ImageWish, group: GroupId | null): Promise<void> => {
    const plan = planImage(wish, options)
    if (plan._tag === "Refuse") throw missing(plan.message)
    const before = failed.get(plan.tag)
    if (!underWay.has(plan.tag) && before !== undefined && options.now() < before.until)
      throw missing(
        `${before.why}\n(after ${before.failures} failed builds in a row the next is made no sooner than ${new Date(before.until).toISOString()})`,
      )
    await once(plan, group)
  }

  return {
    heal: ensure,
    build: async (wish, group) => {
      const plan = planImage(wish, { ...options, build: "missing" })
      if (plan._tag === "Refuse") throw missing(plan.message)
      await once(plan, group)
    },
    close: () => closing.abort(),
  }
}

/** An `ImageBuilder` that tells its progress in the daemon's log. */
export const loggedImageBuilder = (
  engine: DockerEngine,
  options: Omit<ImageBuilderOptions, "tell" | "now">,
): Effect.Effect<ImageBuilder> =>
  Effect.map(Effect.context(), (context) => {
    const runSync = Effect.runSyncWith(context)
    return makeImageBuilder(engine, {
      ...options,
      tell: (line) => runSync(Effect.logInfo(line)),
      now: () => Date.now(),
    })
  })
