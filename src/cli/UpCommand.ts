/**
 * `up`: the daemon, in the foreground, until it is interrupted or told to stop. Its composition root: configuration, then layers, then
 * the loops and the API side by side.
 */
import { Deferred, Effect, Layer, Logger, Option, References } from "effect"
import { Command } from "effect/cli"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Group } from "../domain/Group.ts"
import type { InstallId } from "../domain/Ids.ts"
import { loadSettings, type Settings, unknownVariables } from "../layers/Configuration.ts"
import * as ChannelRegistry from "../layers/channels/ChannelRegistry.ts"
import * as LocalWorkspace from "../layers/files/LocalWorkspace.ts"
import * as SocketServer from "../layers/http/SocketServer.ts"
import { ProcessRuntime } from "../layers/process/ProcessRuntime.ts"
import { acquireDataDirectory, type DataDirectory } from "../layers/sqlite/DataDirectoryLock.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../layers/exchange/SqliteMailbox.ts"
import { daemon } from "../services/Daemon.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"
import { socketPath } from "./Connection.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { hostServices } from "./HostServices.ts"
import { endedBadly, goOnWithoutReader, untilInterrupted } from "./Interruption.ts"
import { hints } from "./Invocation.ts"
import { dataOption, refusal, runtimeFlag } from "./Root.ts"

/** The sources run as they are; an installed package has the runner compiled, because Node strips no types in node_modules. */
const runnerEntry = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts")
      ? "../../container/agent-runner/main.ts"
      : "../container/agent-runner/main.js",
    import.meta.url,
  ),
)

const runtimeOf = (settings: Settings, install: InstallId, stopping: AbortSignal) =>
  settings.runtime === "process"
    ? ProcessRuntime.layer({
        dataDir: settings.dataDir,
        install,
        runnerEntry,
        nodePath: process.execPath,
        maxOutputBytes: settings.maxLogBytes,
      })
    : Layer.unwrap(
        Effect.promise(async () => {
          const { DockerRuntime } = await import("../layers/docker/DockerRuntime.ts")
          return DockerRuntime.layer({
            ...engineOptions(settings),
            install,
            runnerEntry,
            image: settings.docker.image,
            sandbox: settings.sandbox,
            maxOutputBytes: settings.maxLogBytes,
            images: { ...builderOptions(settings), giveUp: stopping },
          })
        }),
      )

const logging = (settings: Settings) => {
  const pretty = settings.log.format === "pretty" || (settings.log.format === "auto" && process.stderr.isTTY)
  return Layer.mergeAll(
    Logger.layer([pretty ? Logger.consolePretty() : Logger.consoleJson]),
    Layer.succeed(References.MinimumLogLevel, settings.log.level),
  )
}

export const upCommand = Command.make(
  "up",
  { runtime: runtimeFlag },
  Effect.fnUntraced(function* ({ runtime }) {
    goOnWithoutReader()
    const loaded = yield* loadSettings({ env: process.env, dataDir: yield* dataOption })
    const settings = { ...loaded, runtime: Option.getOrElse(runtime, () => loaded.runtime) }
    return yield* run(settings).pipe(Effect.scoped, Effect.provide(logging(settings)))
  }, untilInterrupted),
)

/** What somebody who has just started the daemon would type next. */
const firstWords = ([group]: ReadonlyArray<Group>): string =>
  group === undefined
    ? `lamplighter group add helpers; then: lamplighter send helpers "hello" --wait`
    : `lamplighter send ${group.id} "hello" --wait`

/** What the host is warned of at its start; `status` shows what is returned, and what the engine adds later. */
const examineHost = Effect.fnUntraced(function* (settings: Settings) {
  const warnings = [...unknownVariables(process.env)]
  for (const warning of warnings) yield* Effect.logWarning(warning)
  if (settings.runtime === "docker") {
    const { examineEngine } = yield* Effect.promise(() => import("./EngineExamination.ts"))
    yield* examineEngine(settings, warnings)
  }
  return warnings
})

const sweepOf = (settings: Settings, { installId }: DataDirectory, stopping: AbortSignal) => {
  const { dataDir, limits, policy, zone } = settings
  const ledger = SqliteLedger.layer({
    path: path.join(dataDir, "lamplighter.db"),
    mode: "read-write",
    commit: "group",
  })
  const workspace = LocalWorkspace.layer({
    dataDir,
    exitLogRetention: settings.exitLogRetention,
    maxLogBytes: settings.maxLogBytes,
    zeroExitLogs: settings.keepZeroExitLogs,
    ...(settings.runtime === "docker"
      ? { agentState: { skillsDir: settings.docker.skillsDir === "" ? null : settings.docker.skillsDir } }
      : {}),
  })
  return Sweep.layer(installId).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        SessionStore.layer({ policy, limits, zone }).pipe(Layer.provide(ledger)),
        runtimeOf(settings, installId, stopping),
        ChannelRegistry.layer(settings.channels),
      ),
    ),
    Layer.provideMerge(workspace),
    Layer.provideMerge(SqliteMailbox.layer({ dataDir })),
  )
}

const run = Effect.fnUntraced(function* (settings: Settings) {
  const { dataDir } = settings
  const directory = yield* acquireDataDirectory(dataDir)
  const warnings = yield* examineHost(settings)
  const look = yield* makeNudge
  const deliver = yield* makeNudge
  const asked = yield* Deferred.make<void>()
  const unclean = yield* Deferred.make<void>()
  const stopping = new AbortController()
  const operations = Operations.layer({
    runtime: settings.runtime,
    owners: settings.owners,
    globalAdmins: settings.globalAdmins,
    look,
    deliver,
    channels: [...new Set(["stdout", ...Object.keys(settings.channels)])].sort(),
    warnings: () => warnings,
    shutdown: Effect.asVoid(Deferred.succeed(asked, undefined)),
  })
  const services = SocketServer.layer(socketPath(dataDir)).pipe(
    Layer.provideMerge(operations),
    Layer.provideMerge(sweepOf(settings, directory, stopping.signal)),
    Layer.provideMerge(hostServices(settings)),
  )
  const loops = daemon({
    sweepIntervalMs: settings.sweepIntervalMs,
    pollIntervalMs: settings.pollIntervalMs,
    look,
    deliver,
    onUncleanShutdown: Effect.andThen(endedBadly, Deferred.succeed(unclean, undefined)),
  })
  return yield* Effect.gen(function* () {
    const groups = yield* (yield* Operations).groups()
    yield* Effect.logInfo(
      `lamplighter is up in ${dataDir} (runtime ${settings.runtime}); talk to it from another terminal: ${(yield* hints)(firstWords(groups))}`,
    )
    // A shutdown waits for what is being started, but for no image.
    const untilStopped = Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopping.abort()))
    yield* Effect.raceFirst(Effect.raceFirst(loops, Deferred.await(asked)), untilStopped)
    if (yield* Deferred.isDone(unclean))
      return yield* refusal("the shutdown was not clean; the log above says why")
    yield* Effect.logInfo("lamplighter has stopped: every container has ended")
  }).pipe(Effect.provide(services))
})
