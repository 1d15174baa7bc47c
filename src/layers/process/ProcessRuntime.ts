/**
 * Runs agents as child processes of the daemon, each in a process group of its own. It needs nothing installed and gives no
 * isolation: an agent can do whatever the daemon's user can. Children outlive the daemon; the next one finds them by their
 * records and their command lines, and adopts them.
 */
import { Effect, Layer } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import {
  type ContainerLabels,
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type LaunchSpec,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { makeRuntimeEventHub } from "../memory/RuntimeEventHub.ts"
import { labelsOf } from "./AgentArguments.ts"
import { tailOf } from "./CappedOutput.ts"
import { formatHandle, parseHandle, type ProcessIdentity } from "./ProcessIdentity.ts"
import { checkLaunch, spawnAgent, startError, whyNotBorn } from "./ProcessLaunch.ts"
import { processTable } from "./ProcessTable.ts"
import { makeProcessWatcher, type Run, signal, UNKNOWN_EXIT } from "./ProcessWatcher.ts"
import { makeRunDirectory, type ProcessRecord, runKey } from "./RunDirectory.ts"

export interface ProcessRuntimeOptions {
  readonly dataDir: string
  readonly install: InstallId
  /** `container/agent-runner/main.ts`. */
  readonly runnerEntry: string
  readonly nodePath: string
  /** Of stdout and of stderr, per child. */
  readonly maxOutputBytes: number
}

/** Unread events per subscriber before lines are dropped. */
const EVENT_CAPACITY = 2_048
/** The most that `output` ever reads of one stream. */
const MAX_TAIL_BYTES = 16 * 1024 * 1024

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isUnwatched = (run: Run): boolean => run.state === "unwatched"

const unavailable = (what: string) => (error: unknown) =>
  new RuntimeUnavailable({ message: `${what}: ${messageOf(error)}` })

const make = Effect.fnUntraced(function* (options: ProcessRuntimeOptions) {
  const table = processTable()
  const directory = makeRunDirectory(options.dataDir, options.install)
  const hub = makeRuntimeEventHub(EVENT_CAPACITY)
  const runSync = Effect.runSyncWith(yield* Effect.context())
  const watcher = makeProcessWatcher({
    table,
    directory,
    maxOutputBytes: options.maxOutputBytes,
    publish: hub.publish,
    warn: (message) => runSync(Effect.logWarning(message)),
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      watcher.close()
      hub.close()
    }),
  )

  const runs = new Map<string, Run>()
  /** Sessions with a start under way. */
  const starting = new Set<string>()
  const find = (labels: ContainerLabels) => runs.get(runKey(labels.session, labels.incarnation))

  const remember = (
    labels: ContainerLabels,
    identity: ProcessIdentity | null,
    startedAt: number | null,
    parentage: Run["parentage"],
  ): Run => {
    const run: Run = {
      ref: { labels, handle: identity === null ? "" : formatHandle(identity) },
      identity,
      startedAt,
      state: "unwatched",
      exit: null,
      parentage,
      follower: null,
      settled: null,
      announce: false,
      lostLinesToldAt: 0,
    }
    runs.set(runKey(labels.session, labels.incarnation), run)
    return run
  }

  /** Processes of this install by their command lines, one per run: the group's leader, the oldest if a fork looks like it. */
  const scan = async (): Promise<
    ReadonlyMap<string, { labels: ContainerLabels; identity: ProcessIdentity }>
  > => {
    const found = new Map<string, { labels: ContainerLabels; identity: ProcessIdentity }>()
    for (const { argv, group, pid, startTime, state } of await table.commandLines()) {
      if (state === "ended" || pid !== group) continue
      const labels = labelsOf(argv)
      if (labels?.install !== options.install) continue
      const key = runKey(labels.session, labels.incarnation)
      const other = found.get(key)
      if (other !== undefined && Number(other.identity.startTime) <= Number(startTime)) continue
      found.set(key, { labels, identity: { bootId: table.bootId, pid, startTime } })
    }
    return found
  }

  const recall = (record: ProcessRecord, identity: ProcessIdentity | null): Run => {
    const run = remember(record.labels, identity, record.startedAt, "foreign")
    if (record.exit !== null) {
      run.exit = { ...record.exit, oomKilled: false }
      run.state = "exited"
      run.settled = Promise.resolve()
    }
    return run
  }

  /** Brings what is in memory up to what the host shows. */
  const refresh = async (): Promise<void> => {
    const processes = await scan()
    for (const record of await directory.records()) {
      if (find(record.labels) !== undefined) continue
      const { incarnation, session } = record.labels
      recall(record, record.identity ?? processes.get(runKey(session, incarnation))?.identity ?? null)
    }
    for (const { identity, labels } of processes.values()) {
      // One that ended and was removed since the scan must not come back.
      if (find(labels) !== undefined || !(await watcher.alive(identity))) continue
      if (find(labels) === undefined) remember(labels, identity, null, "foreign")
    }
    for (const run of runs.values()) {
      if (run.state !== "unwatched") continue
      const alive = run.identity !== null && (await watcher.alive(run.identity))
      // Somebody may have adopted it meanwhile.
      if (!alive && isUnwatched(run)) await watcher.end(run, UNKNOWN_EXIT)
    }
  }

  /** What an earlier daemon left is known before the first start; afterwards only this daemon adds to it. */
  let known: Promise<void> | undefined
  const whatWasLeft = (): Promise<void> =>
    (known ??= refresh().catch((error: unknown) => {
      known = undefined
      throw error
    }))

  const refuseSecond = async (labels: ContainerLabels): Promise<void> => {
    for (const run of runs.values()) {
      if (run.ref.labels.session !== labels.session || run.state === "exited") continue
      if (run.state === "unwatched" && run.identity !== null && !(await watcher.alive(run.identity))) continue
      throw new StartError({
        reason: "NameTaken",
        message: `session ${labels.session} still has incarnation ${run.ref.labels.incarnation} running (${run.ref.handle})`,
      })
    }
  }

  const launch = async (spec: LaunchSpec): Promise<ContainerRef> => {
    const { labels } = spec
    checkLaunch(options, spec)
    await whatWasLeft().catch((error: unknown) => {
      throw new StartError({
        reason: "RuntimeDown",
        message: `what runs on this host can't be told: ${messageOf(error)}`,
      })
    })
    await refuseSecond(labels)

    const startedAt = Date.now()
    const child = spawnAgent(options, directory, spec, startedAt)
    if (child.pid === undefined) throw await whyNotBorn(child, options.nodePath)
    const ended = new Promise<readonly [number | null, string | null, number]>((resolve) =>
      child.once("exit", (code, name) => resolve([code, name, Date.now()])),
    )
    child.on("error", () => {})
    child.unref()
    // Not reaped before this turn ends, so that it is found even if it died at once.
    const entry = await table.find(child.pid)
    const identity = { bootId: table.bootId, pid: child.pid, startTime: entry?.startTime ?? "" }
    const run = remember(labels, identity, startedAt, "own")
    watcher.watch(run)
    try {
      directory.writeRecord({ labels, startedAt, identity, exit: null })
    } catch (error) {
      // Its command line still tells who it is.
      runSync(Effect.logWarning(`the record of ${run.ref.handle} can't be written: ${messageOf(error)}`))
    }
    void ended.then(([exitCode, name, at]) =>
      watcher.end(run, { exitCode, signal: name, oomKilled: false, at }),
    )
    return run.ref
  }

  const start = (spec: LaunchSpec): Effect.Effect<ContainerRef, StartError> =>
    Effect.suspend(() => {
      const { session } = spec.labels
      if (starting.has(session)) {
        return Effect.fail(
          new StartError({ reason: "NameTaken", message: `session ${session} is being started already` }),
        )
      }
      starting.add(session)
      return Effect.tryPromise({
        try: () => launch(spec).finally(() => starting.delete(session)),
        catch: (error) =>
          error instanceof StartError ? error : startError(error, `session ${session} can't be started`),
      })
    }).pipe(Effect.uninterruptible)

  /** Signals the very process of `ref`, or nothing. */
  const send = (ref: ContainerRef, name: "SIGTERM" | "SIGKILL", to: "leader" | "group") =>
    Effect.tryPromise({
      try: async () => {
        const identity = parseHandle(ref.handle)
        if (identity === undefined || !(await watcher.alive(identity))) return
        signal(to === "group" ? -identity.pid : identity.pid, name)
      },
      catch: unavailable(`${name} can't be sent to ${ref.handle}`),
    })

  const statusOf = (run: Run): ContainerStatus =>
    run.state === "exited"
      ? { _tag: "Exited", ref: run.ref, exit: run.exit ?? UNKNOWN_EXIT }
      : { _tag: "Running", ref: run.ref, startedAt: run.startedAt }

  const recallOne = (ref: ContainerRef): Run => {
    const inMemory = find(ref.labels)
    if (inMemory !== undefined) return inMemory
    const identity = parseHandle(ref.handle) ?? null
    const record = directory.readRecord(ref.labels)
    return record === undefined
      ? remember(ref.labels, identity, null, "foreign")
      : recall(record, record.identity ?? identity)
  }

  const adopt = async (ref: ContainerRef): Promise<void> => {
    const run = recallOne(ref)
    if (run.announce) return
    run.announce = true
    // It ended between the look that found it and now.
    if (run.state === "exited") hub.publish({ _tag: "Exited", ref: run.ref, exit: run.exit ?? UNKNOWN_EXIT })
    if (run.state !== "unwatched") return
    watcher.watch(run)
    if (run.identity === null || !(await watcher.alive(run.identity))) {
      await watcher.end(run, UNKNOWN_EXIT)
    } else if (directory.readRecord(ref.labels)?.identity == null) {
      const { identity, startedAt } = run
      directory.writeRecord({ labels: ref.labels, startedAt, identity, exit: null })
    }
  }

  const remove = async (ref: ContainerRef): Promise<void> => {
    const run = find(ref.labels)
    if (run?.state === "watched" || run?.state === "ending") throw new Error("it still runs; stop it first")
    const identity = run?.identity ?? directory.readRecord(ref.labels)?.identity ?? parseHandle(ref.handle)
    if (run?.state !== "exited" && identity != null && (await watcher.alive(identity)))
      throw new Error("it still runs; stop it first")
    await directory.remove(ref.labels)
    runs.delete(runKey(ref.labels.session, ref.labels.incarnation))
  }

  return ContainerRuntime.of({
    kind: "process",
    bootId: table.bootId,
    start,
    stop: (ref) => send(ref, "SIGTERM", "leader"),
    kill: (ref) => send(ref, "SIGKILL", "group"),
    list: Effect.tryPromise({
      try: () => refresh().then(() => [...runs.values()].map(statusOf)),
      catch: unavailable("what runs on this host can't be told"),
    }),
    adopt: (ref) =>
      Effect.tryPromise({ try: () => adopt(ref), catch: unavailable(`${ref.handle} can't be adopted`) }),
    output: (ref, maxBytes) =>
      Effect.try({
        try: () => {
          const path = directory.path(ref.labels)
          const limit = Math.min(Math.max(0, maxBytes), MAX_TAIL_BYTES)
          return { stdout: tailOf(path, "stdout", limit), stderr: tailOf(path, "stderr", limit) }
        },
        catch: unavailable(`the output of ${ref.handle} can't be read`),
      }),
    remove: (ref) =>
      Effect.tryPromise({ try: () => remove(ref), catch: unavailable(`${ref.handle} can't be removed`) }),
    events: hub.events,
  })
})

export const ProcessRuntime = {
  layer: (options: ProcessRuntimeOptions): Layer.Layer<ContainerRuntime> =>
    Layer.effect(ContainerRuntime, make(options)),
}
