/** `up`: the composition root of the daemon. Configuration, then layers, then the loops and the API side by side. */
import { Deferred, Effect, Layer, Logger, References } from "effect"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Group } from "../domain/Group.ts"
import type { InstallId } from "../domain/Ids.ts"
import { loadSettings, type Settings, unknownVariables } from "../layers/Configuration.ts"
import * as ChannelRegistry from "../layers/channels/ChannelRegistry.ts"
import { DockerRuntime } from "../layers/docker/DockerRuntime.ts"
import * as LocalWorkspace from "../layers/files/LocalWorkspace.ts"
import * as SocketServer from "../layers/http/SocketServer.ts"
import { ProcessRuntime } from "../layers/process/ProcessRuntime.ts"
import { acquireDataDirectory } from "../layers/sqlite/DataDirectoryLock.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../layers/exchange/SqliteMailbox.ts"
import { CrashPoint } from "../services/CrashPoint.ts"
import { daemon } from "../services/Daemon.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"
import { socketPath } from "./Connection.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { examineEngine } from "./EngineExamination.ts"
import { hostServices } from "./HostServices.ts"
import { invocation } from "./Invocation.ts"

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
    : DockerRuntime.layer({
        ...engineOptions(settings),
        install,
        runnerEntry,
        image: settings.docker.image,
        sandbox: settings.sandbox,
        maxOutputBytes: settings.maxLogBytes,
        images: { ...builderOptions(settings, install), giveUp: stopping },
      })

/** The crash point named by LAMPLIGHTER_CRASH_AT (`name` or `name#n`, the n-th time) kills the process: for crash tests. */
const crashPoints = (wanted: string | undefined): Layer.Layer<never> => {
  if (wanted === undefined || wanted === "") return Layer.empty
  const [name, nth] = wanted.split("#")
  let left = nth === undefined ? 1 : Number(nth)
  return Layer.succeed(CrashPoint, (hit) =>
    Effect.sync(() => {
      if (hit === name && --left === 0) process.kill(process.pid, "SIGKILL")
    }),
  )
}

const logging = (settings: Settings) => {
  const pretty = settings.log.format === "pretty" || (settings.log.format === "auto" && process.stderr.isTTY)
  return Layer.mergeAll(
    Logger.layer([pretty ? Logger.consolePretty() : Logger.consoleJson]),
    Layer.succeed(References.MinimumLogLevel, settings.log.level),
  )
}

/** Runs the daemon until it is interrupted. */
export const up = Effect.fn("up")(function* (options: {
  readonly dataDir?: string | undefined
  /** Wins over the setting. */
  readonly runtime?: Settings["runtime"] | undefined
}) {
  const loaded = yield* loadSettings({ env: process.env, dataDir: options.dataDir })
  const settings = { ...loaded, runtime: options.runtime ?? loaded.runtime }
  return yield* run(settings).pipe(Effect.scoped, Effect.provide(logging(settings)))
})

/** What somebody who has just started the daemon would type next. */
const firstWords = (dataDir: string, groups: ReadonlyArray<Group>): string => {
  const program = invocation(dataDir)
  const [group] = groups
  return group === undefined
    ? `${program} group add helpers; then: ${program} send helpers "hello" --wait`
    : `${program} send ${group.id} "hello" --wait`
}

const run = Effect.fnUntraced(function* (settings: Settings) {
  const directory = yield* acquireDataDirectory(settings.dataDir)
  for (const { name, nearest } of unknownVariables(process.env)) {
    if (name === "LAMPLIGHTER_CRASH_AT") continue
    yield* Effect.logWarning(`nothing reads ${name}${nearest === null ? "" : `; did you mean ${nearest}?`}`)
  }
  const look = yield* makeNudge
  const deliver = yield* makeNudge
  const asked = yield* Deferred.make<void>()
  const { dataDir } = settings
  const warnings: Array<string> = []
  yield* examineEngine(settings, warnings)
  const ledger = SqliteLedger.layer({
    path: path.join(dataDir, "lamplighter.db"),
    mode: "read-write",
    commit: "group",
  })
  const store = SessionStore.layer({
    policy: settings.policy,
    limits: settings.limits,
    zone: settings.zone,
  }).pipe(Layer.provide(ledger))
  const stopping = new AbortController()
  const runtime = runtimeOf(settings, directory.installId, stopping.signal)
  const workspace = LocalWorkspace.layer({
    dataDir,
    exitLogRetention: settings.exitLogRetention,
    maxLogBytes: settings.maxLogBytes,
    zeroExitLogs: settings.keepZeroExitLogs,
    ...(settings.runtime === "docker"
      ? { agentState: { skillsDir: settings.docker.skillsDir === "" ? null : settings.docker.skillsDir } }
      : {}),
  })
  const base = Layer.mergeAll(store, runtime, ChannelRegistry.layer(settings.channels)).pipe(
    Layer.provideMerge(workspace),
    Layer.provideMerge(SqliteMailbox.layer({ dataDir })),
  )
  const sweep = Sweep.layer(directory.installId).pipe(Layer.provideMerge(base))
  const operations = Operations.layer({
    runtime: settings.runtime,
    owners: settings.owners,
    globalAdmins: settings.globalAdmins,
    look,
    deliver,
    channels: [...new Set(["stdout", ...Object.keys(settings.channels)])].sort(),
    warnings: () => warnings,
    shutdown: Effect.asVoid(Deferred.succeed(asked, undefined)),
  }).pipe(Layer.provideMerge(sweep))
  const api = SocketServer.layer(socketPath(dataDir)).pipe(Layer.provideMerge(operations))
  return yield* Effect.gen(function* () {
    const groups = yield* (yield* Operations).groups()
    yield* Effect.logInfo(
      `lamplighter is up in ${dataDir} (runtime ${settings.runtime}); talk to it from another terminal: ${firstWords(dataDir, groups)}`,
    )
    const loops = daemon({
      sweepIntervalMs: settings.sweepIntervalMs,
      pollIntervalMs: settings.pollIntervalMs,
      look,
      deliver,
    })
    // A shutdown waits for what is being started, but for no image.
    const untilStopped = Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopping.abort()))
    yield* Effect.raceFirst(Effect.raceFirst(loops, Deferred.await(asked)), untilStopped)
    yield* Effect.logInfo("lamplighter has stopped: every container has ended")
  }).pipe(
    Effect.provide(
      Layer.provideMerge(
        api,
        Layer.mergeAll(crashPoints(process.env["LAMPLIGHTER_CRASH_AT"]), hostServices(settings)),
      ),
    ),
  )
})
