/** A whole host on a real engine: ledger, exchange files and containers as in production, with an answer channel in memory. */
import Docker from "dockerode"
import { Effect, Layer, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { defaultSandbox } from "../src/domain/ContainerSpec.ts"
import type { InstallId } from "../src/domain/Ids.ts"
import { labelFilter } from "../src/layers/docker/DockerLabels.ts"
import { DockerRuntime } from "../src/layers/docker/DockerRuntime.ts"
import * as LocalWorkspace from "../src/layers/files/LocalWorkspace.ts"
import { type Host, onNewHost, servicesOn } from "./Host.ts"

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

/** Removes every container of the install, however it ended. */
const removeAll = (install: InstallId): Effect.Effect<void> =>
  Effect.promise(async () => {
    const docker = new Docker()
    const left = await docker.listContainers({ all: true, filters: { label: [labelFilter(install)] } })
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })))
  })

const layerOf = (host: Host) =>
  servicesOn(
    host,
    "docker",
    Layer.merge(
      DockerRuntime.layer({
        ...engineOptions,
        install: host.install,
        runnerEntry,
        image,
        sandbox,
        maxOutputBytes,
        images: null,
      }),
      LocalWorkspace.layer({
        dataDir: host.dataDir,
        exitLogRetention: { count: 10, ageMs: 86_400_000 },
        maxLogBytes: maxOutputBytes,
      }),
    ),
  ).pipe(Layer.provideMerge(Layer.effectDiscard(Effect.addFinalizer(() => removeAll(host.install)))))

/** Runs on a host of its own, which is gone afterwards with all of its containers. */
export const onDockerHost = <A, E>(
  use: (host: Host) => Effect.Effect<A, E, Layer.Success<ReturnType<typeof layerOf>> | Scope.Scope>,
): Promise<A> => onNewHost(layerOf, use)
