/**
 * A place for tests on a real Docker engine: a temporary data directory, agents of `test/support/agents` as a runner, and at the
 * end of the scope no container of it is left. Without an engine such tests are skipped, unless LAMPLIGHTER_REQUIRE_DOCKER=1:
 * then its absence fails.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import Docker from "dockerode"
import { Context, Effect, Layer, Schema } from "effect"
import { defaultSandbox, type SandboxOverride } from "../../src/domain/ContainerSpec.ts"
import { GroupId, InstallId, SessionId } from "../../src/domain/Ids.ts"
import { containerBody } from "../../src/layers/docker/ContainerBody.ts"
import { buildContainerSpec } from "../../src/domain/ContainerSpec.ts"
import { DockerEngine, type EngineOptions } from "../../src/layers/docker/DockerEngine.ts"
import { engineLabels, labelFilter } from "../../src/layers/docker/DockerLabels.ts"
import { DockerRuntime, type DockerRuntimeOptions } from "../../src/layers/docker/DockerRuntime.ts"
import { ContainerRuntime, type LaunchSpec } from "../../src/services/ContainerRuntime.ts"
import type { RuntimeWorld } from "../contract/ContainerRuntime.contract.ts"

export const agentEntry = fileURLToPath(new URL("./agents/agent.mjs", import.meta.url))

/** Built by scripts/docker-base.sh; any image with Node 24 as `node` does. */
export const baseImage = process.env["LAMPLIGHTER_TEST_BASE_IMAGE"] || "lamplighter-ci-base:local"

const whyNot = (): string | null => {
  try {
    execFileSync("docker", ["image", "inspect", baseImage], { stdio: "pipe", timeout: 10_000 })
    return null
  } catch (error) {
    return `no Docker engine with the image ${baseImage} (scripts/docker-base.sh builds it): ${String(error).split("\n")[0]}`
  }
}

/** Null where the tests can run. */
export const dockerMissing: string | null = whyNot()
export const dockerRequired = process.env["LAMPLIGHTER_REQUIRE_DOCKER"] === "1"

if (dockerMissing !== null) {
  if (dockerRequired) throw new Error(dockerMissing)
  process.stderr.write(`tests on Docker are skipped: ${dockerMissing}\n`)
}

export interface DockerWorld extends RuntimeWorld {
  readonly directory: string
  /** The engine as the runtime sees it, and the bare client of it. */
  readonly engine: DockerEngine["Service"] & { readonly docker: Docker }
  readonly agent: (session: string, env?: Readonly<Record<string, string>>) => LaunchSpec
  /** An agent that is some program of the image. */
  readonly program: (
    session: string,
    command: readonly [string, ...Array<string>],
    sandbox?: SandboxOverride,
  ) => LaunchSpec
  readonly openWith: (
    options: Partial<DockerRuntimeOptions & EngineOptions> & {
      /** The very engine to use. */
      readonly engine?: DockerEngine["Service"]
    },
  ) => RuntimeWorld["open"]
  readonly docker: (...parts: ReadonlyArray<string>) => string
}

export const dockerCommand = (...parts: ReadonlyArray<string>): string =>
  execFileSync("docker", [...parts], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 })

export const testEngineOptions = { socketPath: null, callMs: 10_000, changeMs: 30_000 }

export const makeDockerWorld = Effect.gen(function* () {
  const directory = mkdtempSync(join(tmpdir(), "lamplighter-docker-"))
  const install = (): InstallId => Schema.decodeSync(InstallId)(`t${randomBytes(7).toString("hex")}`)
  const ours = install()
  const other = install()
  const built = yield* Layer.build(DockerEngine.layer(testEngineOptions))
  const engine = { ...Context.get(built, DockerEngine), docker: new Docker() }

  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      for (const id of [ours, other]) {
        const left = await engine.docker.listContainers({ all: true, filters: { label: [labelFilter(id)] } })
        for (const { Id } of left) await engine.docker.getContainer(Id).remove({ force: true, v: true })
      }
      rmSync(directory, { recursive: true, force: true })
    }),
  )

  const folder = (...parts: ReadonlyArray<string>): string => {
    const place = join(directory, ...parts)
    mkdirSync(place, { recursive: true, mode: 0o700 })
    return place
  }

  const launch = (
    session: string,
    id: InstallId,
    incarnation: number,
    env: Readonly<Record<string, string>>,
  ): LaunchSpec => {
    const groupDir = folder("group")
    const containerJson = join(groupDir, "container.json")
    writeFileSync(containerJson, "{}", { mode: 0o644 })
    chmodSync(groupDir, 0o755)
    const pair = [id, session, String(incarnation)]
    for (const nested of ["in", "agent", "global", "outbox"]) folder(...pair, "out", nested)
    return {
      labels: {
        install: id,
        group: Schema.decodeSync(GroupId)("family"),
        session: Schema.decodeSync(SessionId)(session),
        incarnation,
      },
      name: `lamplighter-${id}-${session}`,
      inDir: folder(...pair, "in"),
      outDir: folder(...pair, "out"),
      groupDir,
      globalDir: folder("global"),
      containerJson,
      env,
      image: null,
      graceMs: 1_000,
    }
  }

  const openWith: DockerWorld["openWith"] =
    ({ engine: given, ...more }) =>
    (id) => {
      const options = {
        ...testEngineOptions,
        install: id,
        runnerEntry: agentEntry,
        image: baseImage,
        sandbox: { ...defaultSandbox, memoryBytes: 256 * 1024 * 1024 },
        maxOutputBytes: 1024 * 1024,
        images: null,
        ...more,
      }
      const layer =
        given === undefined
          ? DockerRuntime.layer(options)
          : DockerRuntime.layerNoDeps(options).pipe(Layer.provide(Layer.succeed(DockerEngine, given)))
      return Layer.build(layer).pipe(
        Effect.flatMap((context) => Effect.provideContext(ContainerRuntime, context)),
      )
    }

  const bearUnrecorded: RuntimeWorld["bearUnrecorded"] = (spec) =>
    Effect.promise(async () => {
      const described = buildContainerSpec({
        name: spec.name,
        image: baseImage,
        labels: engineLabels(spec.labels),
        host: { uid: 1_000, gid: 1_000, engine: "rootful" },
        sandbox: defaultSandbox,
        env: spec.env,
        places: {
          ...spec,
          runnerDir: join(agentEntry, ".."),
          runnerEntry: "agent.mjs",
          skills: null,
          stateDir: null,
        },
        extraBinds: [],
        maxLogBytes: 1024 * 1024,
        graceMs: spec.graceMs,
      })
      const container = await engine.docker.createContainer(containerBody(described))
      await container.start()
    })

  const world: DockerWorld = {
    install: ours,
    otherInstall: other,
    directory,
    engine,
    agent: (session, env = {}) => launch(session, ours, 1, env),
    program: (session, command, sandbox = {}) => ({
      ...launch(session, ours, 1, {}),
      sandbox: { ...sandbox, command },
    }),
    spec: (session, behaviour, more = {}) =>
      launch(
        session,
        more.install ?? ours,
        more.incarnation ?? 1,
        behaviour === "exits7"
          ? { AGENT_BEHAVIOUR: "exits", AGENT_EXIT_CODE: "7" }
          : { AGENT_BEHAVIOUR: behaviour },
      ),
    open: openWith({}),
    openWith,
    killOutside: (ref) =>
      Effect.promise(async () => {
        const container = engine.docker.getContainer(ref.handle)
        await container.kill({ signal: "SIGKILL" })
        await container.wait()
      }),
    bearUnrecorded,
    docker: dockerCommand,
  }
  return world
})
