/** The real daemon on a real engine: a data directory, image tags of the test's own, and nothing left of either when the scope closes. */
import { Effect, type Scope } from "effect"
import type { ChildProcess } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { MessageId } from "../../src/domain/Ids.ts"
import type { MessageReport } from "../../src/services/operations/Requests.ts"
import { baseImage, dockerCommand } from "./DockerWorld.ts"
import { api, liveDaemon, type LiveDaemon, report } from "./LiveDaemon.ts"
import { patience } from "./Patience.ts"

const DEADLINE_MS = patience(60_000)

export interface DockerDaemon extends LiveDaemon {
  /** The agent image's tag: of this test alone, and not there unless `withImage`. */
  readonly image: string
  /** Starts it with the Docker runtime; what it says is kept. */
  readonly up: (env?: Readonly<Record<string, string>>) => Promise<ChildProcess>
  readonly said: () => string
  /** Ids of the running containers of this data directory. */
  readonly containers: () => ReadonlyArray<string>
  /** Makes an image from the base with these lines of Dockerfile; it goes with the scope. */
  readonly derive: (name: string, dockerfile: string) => string
}

const installOf = (dataDir: string): string | null => {
  try {
    return fs.readFileSync(path.join(dataDir, "install-id"), "utf8").trim()
  } catch {
    return null
  }
}

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

export const dockerDaemon: Effect.Effect<DockerDaemon, never, Scope.Scope> = Effect.gen(function* () {
  const mark = randomBytes(6).toString("hex")
  const image = `lamplighter-test-${mark}:agent`
  const made = new Set([image])
  let dataDir = ""

  const listed = (...more: ReadonlyArray<string>): ReadonlyArray<string> => {
    const install = installOf(dataDir)
    return install === null
      ? []
      : words(dockerCommand("ps", "-q", "--filter", `label=io.lamplighter.install=${install}`, ...more))
  }
  const sweepUp = (): void => {
    const left = listed("-a")
    if (left.length > 0) dockerCommand("rm", "-f", "-v", ...left)
    for (const tag of made)
      if (words(dockerCommand("images", "-q", tag)).length > 0) dockerCommand("rmi", "-f", tag)
  }
  const daemon = yield* liveDaemon
  dataDir = daemon.dataDir
  const children: Array<ChildProcess> = []
  // Before the data directory goes, because the install's id is in it: a container may have outlived its daemon.
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      for (const child of children) {
        child.kill("SIGTERM")
        await daemon.ended(child)
      }
      sweepUp()
    }),
  )

  let heard = ""
  return {
    ...daemon,
    image,
    said: () => heard,
    containers: () => listed(),
    up: async (env = {}) => {
      const settings = {
        LAMPLIGHTER_DOCKER_IMAGE: image,
        LAMPLIGHTER_DOCKER_BASE_IMAGE: baseImage,
        LAMPLIGHTER_DOCKER_MEMORY_BYTES: "256 MiB",
        LAMPLIGHTER_LOG_FORMAT: "json",
        ...env,
      }
      const child = await daemon.start(settings, ["--runtime", "docker"])
      children.push(child)
      const listen = (chunk: Buffer): void => {
        heard += chunk.toString()
      }
      child.stdout?.on("data", listen)
      child.stderr?.on("data", listen)
      return child
    },
    derive: (name, dockerfile) => {
      const tag = `lamplighter-test-${mark}:${name}`
      made.add(tag)
      const context = fs.mkdtempSync(path.join(daemon.dataDir, "context-"))
      fs.writeFileSync(path.join(context, "Dockerfile"), `FROM ${baseImage}\n${dockerfile}\n`)
      dockerCommand("build", "-q", "-t", tag, context)
      return tag
    },
  }
})

/** Sends to a session of its own. */
export const sendTo = (daemon: LiveDaemon, thread: string, id: string, text: string) =>
  Effect.flatMap(api(daemon), (http) =>
    http.send({
      id: MessageId.make(id),
      groupId: "g1" as never,
      mode: "per-thread",
      channelType: "stdout",
      threadId: thread,
      kind: "chat",
      content: { text },
    }),
  )

/** Looks until the report of the message is as wanted. A container takes longer than a process, above all when its image is built first. */
export const reported = Effect.fnUntraced(function* (
  daemon: LiveDaemon,
  id: string,
  wanted: (found: MessageReport) => boolean,
) {
  const deadline = Date.now() + DEADLINE_MS
  while (true) {
    const found = yield* report(daemon, id)
    if (wanted(found)) return found
    if (Date.now() > deadline)
      return yield* Effect.die(new Error(`message ${id} stays ${JSON.stringify(found)}`))
    yield* Effect.sleep(20)
  }
})

export const completed = ({ message }: MessageReport): boolean => message.state === "completed"
