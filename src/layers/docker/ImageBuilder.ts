/**
 * Builds the images of ours that an engine lacks. However many sessions want one, it is built once; a build that fails is not tried
 * again before its backoff, and whoever asks meanwhile is told its last lines. Nothing here is called while an image is there.
 */
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { Readable } from "node:stream"
import { buildBackoffMs, type OwnImages, planImage } from "../../domain/ImagePlan.ts"
import { StartError } from "../../services/ContainerRuntime.ts"
import { singleFileArchive } from "./BuildContext.ts"
import { makeBuildOutput } from "./BuildOutput.ts"
import { type DockerEngine, EngineError } from "./DockerEngine.ts"

/** What marks an image as ours; its value says which kind. */
export const IMAGE_LABEL = "io.lamplighter.image"

export interface ImageBuilderOptions extends OwnImages {
  /** The folder that holds the Dockerfile. */
  readonly contextDir: string
  readonly timeoutMs: number
  /** Once aborted, what is being built is given up, and the engine stops it. */
  readonly giveUp?: AbortSignal | undefined
  /** Progress, a line at a time. */
  readonly tell: (line: string) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

export interface ImageBuilder {
  /** Returns when the image is there; rejects with a `StartError` that says why it can't be, or an `EngineError`. */
  readonly heal: (image: string) => Promise<void>
  /** Builds the agent image, whether or not there is one. */
  readonly build: () => Promise<void>
  /** Gives up what is being built: the engine stops it. */
  readonly close: () => void
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const missing = (message: string): StartError => new StartError({ reason: "ImageMissing", message })

export const makeImageBuilder = (engine: DockerEngine, options: ImageBuilderOptions): ImageBuilder => {
  const { giveUp } = options
  const closing = new AbortController()
  const underWay = new Map<string, Promise<void>>()
  const failed = new Map<
    string,
    { readonly failures: number; readonly until: number; readonly why: string }
  >()

  /** One that is in use stays; an engine that is busy is asked again after the next build. */
  const collect = (): Promise<void> =>
    engine
      .change("old images can't be removed", () =>
        engine.docker.pruneImages({ filters: { dangling: ["true"], label: [IMAGE_LABEL] } }),
      )
      .then(
        () => {},
        () => {},
      )

  const isThere = async (tag: string): Promise<boolean> => {
    try {
      await engine.ask(`image ${tag} can't be looked up`, () => engine.docker.getImage(tag).inspect())
      return true
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return false
      throw error
    }
  }

  /** Feeds the build's own words to `output`; resolves at their end, or when `signal` has cut them. */
  const hear = (stream: Readable, signal: AbortSignal, feed: (bytes: Buffer) => void): Promise<void> =>
    new Promise((resolve) => {
      stream.on("data", feed)
      for (const end of ["end", "close", "error"]) stream.once(end, () => resolve())
      signal.addEventListener("abort", () => {
        stream.destroy()
        resolve()
      })
    })

  const run = async (tag: string, from: string): Promise<void> => {
    const output = makeBuildOutput((step) => options.tell(`image ${tag}: ${step}`))
    const late = AbortSignal.timeout(options.timeoutMs)
    const deadline = AbortSignal.any([late, closing.signal, ...(giveUp === undefined ? [] : [giveUp])])
    const dockerfile = await fs.readFile(join(options.contextDir, "Dockerfile"), "utf8")
    const stream = await engine.stream(`image ${tag} can't be built`, deadline, (abortSignal) =>
      engine.docker.buildImage(Readable.from([singleFileArchive("Dockerfile", dockerfile)]), {
        t: tag,
        rm: true,
        forcerm: true,
        buildargs: { BASE_IMAGE: from },
        labels: { [IMAGE_LABEL]: "agent" },
        // Its steps make folders and a user: nothing to fetch, and a host without a bridge can build it too.
        networkmode: "none",
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
          ((await isThere(tag)) ? null : "the engine stopped in the middle of it"))
    if (fault !== null)
      throw missing(
        `image ${tag} can't be built from ${from}: ${fault}; its last lines:\n${output.lastLines().join("\n")}`,
      )
    options.tell(`image ${tag} is built`)
    await collect()
  }

  const once = (tag: string, from: string): Promise<void> => {
    const mine = underWay.get(tag)
    if (mine !== undefined) return mine
    options.tell(`image ${tag}: building it from ${from}`)
    const build = run(tag, from)
      .then(
        () => {
          failed.delete(tag)
        },
        (error: unknown) => {
          // An engine that can't be reached says nothing about the image.
          if (error instanceof EngineError && error.kind === "unreachable") throw error
          const failures = (failed.get(tag)?.failures ?? 0) + 1
          const why = messageOf(error)
          failed.set(tag, { failures, until: options.now() + buildBackoffMs(failures), why })
          options.tell(`image ${tag}: the build failed: ${why}`)
          throw error instanceof StartError ? error : missing(why)
        },
      )
      .finally(() => underWay.delete(tag))
    underWay.set(tag, build)
    return build
  }

  return {
    heal: async (image) => {
      const plan = planImage(image, options)
      if (plan._tag === "Refuse") throw missing(plan.message)
      const before = failed.get(plan.tag)
      if (!underWay.has(plan.tag) && before !== undefined && options.now() < before.until)
        throw missing(
          `${before.why}\n(after ${before.failures} failed builds in a row the next is made no sooner than ${new Date(before.until).toISOString()})`,
        )
      await once(plan.tag, plan.from)
    },
    build: () => once(options.agent, options.base),
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
