/** A whole host on a real engine: ledger, exchange files and containers as in production, with an answer channel in memory. */
import Docker from "dockerode"
import { Effect, Layer, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { defaultSandbox } from "../src/domain/ContainerSpec.ts"
import { InstallId } from "../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy } from "../src/domain/Policy.ts"
import { labelFilter } from "../src/layers/docker/DockerLabels.ts"
import { DockerRuntime } from "../src/layers/docker/DockerRuntime.ts"
import * as LocalWorkspace from "../src/layers/files/LocalWorkspace.ts"
import * as MemoryChannels from "../src/layers/memory/MemoryChannels.ts"
import * as SqliteLedger from "../src/layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../src/layers/exchange/SqliteMailbox.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { dataDirectory, makeNudges } from "./Host.ts"

/** Any image with Node 24 as `node`; scripts/docker-base.sh makes one without a registry. */
export const image = process.env["LAMPLIGHTER_TEST_BASE_IMAGE"] || "lamplighter-ci-base:local"

/** Null where there is an engine with the image. */
export const dockerMissing = (): string | null => {
  try {
    execFileSync("docker", ["image", "inspect", image], { stdio: "pipe", timeout: 10_000 })
    return null
  } catch {
    return `no Docker engine with the image ${image}`
  }
}

const engineOptions = { socketPath: null, callMs: 30_000, changeMs: 60_000 }

const bundledRunner = new URL("../dist/container/agent-runner/main.js", import.meta.url)

/** The runner as it ships, where `npm run build` has made it; otherwise its sources, which start more slowly. */
export const runnerEntry = fileURLToPath(
  fs.existsSync(bundledRunner)
    ? bundledRunner
    : new URL("../container/agent-runner/main.ts", import.meta.url),
)
export const sandbox = { ...defaultSandbox, memoryBytes: 256 * 1024 * 1024 }
export const maxOutputBytes = 1024 ** 2

const DAY_MS = 86_400_000

interface DockerHost {
  readonly dataDir: string
  readonly install: InstallId
  readonly nudges: Effect.Success<typeof makeNudges>
}

const layerOf = ({ dataDir, install, nudges }: DockerHost) => {
  const base = Layer.mergeAll(
    SessionStore.layer({
      policy: { ...defaultPolicy, maxContainersPerGroup: 1_000, idleMs: DAY_MS },
      limits: { ...defaultHostLimits, maxContainers: 1_000, maxStartsPerSecond: 1_000 },
      zone: "UTC",
    }).pipe(
      Layer.provideMerge(
        SqliteLedger.layer({
          path: path.join(dataDir, "lamplighter.db"),
          mode: "read-write",
          commit: "group",
        }),
      ),
    ),
    DockerRuntime.layer({
      ...engineOptions,
      install,
      runnerEntry,
      image,
      sandbox,
      maxOutputBytes,
      images: null,
    }),
    MemoryChannels.layer(["stdout"]),
    LocalWorkspace.layer({
      dataDir,
      exitLogRetention: { count: 10, ageMs: DAY_MS },
      maxLogBytes: maxOutputBytes,
    }),
  ).pipe(Layer.provideMerge(SqliteMailbox.layer({ dataDir })))
  return Operations.layer({ runtime: "docker", owners: [], globalAdmins: [], ...nudges }).pipe(
    Layer.provideMerge(Sweep.layer(install)),
    Layer.provideMerge(base),
  )
}

type Services = Layer.Success<ReturnType<typeof layerOf>>

/** Removes every container of the install, however it ended. */
const removeAll = (install: InstallId): Effect.Effect<void> =>
  Effect.promise(async () => {
    const docker = new Docker()
    const left = await docker.listContainers({ all: true, filters: { label: [labelFilter(install)] } })
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })))
  })

/** Runs on a host of its own, which is gone afterwards with all of its containers. */
export const onDockerHost = <A, E>(
  use: (host: DockerHost) => Effect.Effect<A, E, Services | Scope.Scope>,
): Promise<A> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const host = {
        dataDir: yield* dataDirectory,
        install: InstallId.make(`bench${randomBytes(6).toString("hex")}`),
        nudges: yield* makeNudges,
      }
      yield* Effect.addFinalizer(() => removeAll(host.install))
      return yield* Effect.scoped(use(host)).pipe(Effect.provide(layerOf(host)))
    }).pipe(Effect.scoped),
  )
