/**
 * Runs agents as child processes of the daemon, each in a process group of its own. It needs nothing installed and gives no
 * isolation: an agent can do whatever the daemon's user can. Children outlive the daemon; the next one finds them by their
 * records and their command lines, and adopts them.
 */
import { Clock, Deferred, Effect, Exit, Layer } from "effect"
import { statSync } from "node:fs"
import { join } from "node:path"
import {
  type ContainerLabels,
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type LaunchSpec,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { makeOutputTail, MAX_TAIL_BYTES, type OutputName } from "../runtime/OutputTail.ts"
import { makeRuntimeEventHub, type RuntimeEventHub } from "../runtime/RuntimeEventHub.ts"
import { tailOf } from "./CappedOutput.ts"
import { makeOutputOrder } from "./OutputOrder.ts"
import { parseHandle } from "./ProcessIdentity.ts"
import { type AgentProgram, bearAgent, checkLaunch, startError } from "./ProcessLaunch.ts"
import { makeProcessRuns, type ProcessRuns } from "./ProcessRuns.ts"
import { processTable, type ProcessTable } from "./ProcessTable.ts"
import {
  aliveIn,
  makeProcessWatcher,
  makeRun,
  type ProcessWatcher,
  type Run,
  signal,
  UNKNOWN_EXIT,
} from "./ProcessWatcher.ts"
import { makeRunDirectory, type RunDirectory } from "./RunDirectory.ts"

export interface ProcessRuntimeOptions extends AgentProgram {
  readonly dataDir: string
  /** Of stdout and of stderr, per child. */
  readonly maxOutputBytes: number
}

/** Unread events per subscriber before lines are dropped. */
const EVENT_CAPACITY = 2_048

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const unavailable = (what: string) => (error: unknown) =>
  new RuntimeUnavailable({ message: `${what}: ${messageOf(error)}` })

/** What the calls of the runtime work on. */
interface Host {
  readonly program: AgentProgram
  readonly table: ProcessTable
  readonly directory: RunDirectory
  readonly watcher: ProcessWatcher
  readonly runs: ProcessRuns
  readonly hub: RuntimeEventHub
}

const refuseSecond = Effect.fnUntraced(function* ({ runs, table }: Host, labels: ContainerLabels) {
  for (const run of runs.all()) {
    if (run.ref.labels.session !== labels.session || run.state === "exited") continue
    if (run.state === "unwatched" && run.identity !== null && !(yield* aliveIn(table, run.identity))) continue
    return yield* new StartError({
      reason: "NameTaken",
      message: `session ${labels.session} still has incarnation ${run.ref.labels.incarnation} running (${run.ref.handle})`,
    })
  }
})

const launch = Effect.fnUntraced(function* (
  host: Host,
  spec: LaunchSpec,
  whatWasLeft: Effect.Effect<void, RuntimeUnavailable>,
) {
  const { directory, program, runs, table, watcher } = host
  const { labels } = spec
  const refused = (error: unknown) =>
    error instanceof StartError ? error : startError(error, `session ${labels.session} can't be started`)
  yield* Effect.try({ try: () => checkLaunch(program, spec), catch: refused })
  yield* Effect.andThen(whatWasLeft, refuseSecond(host, labels)).pipe(
    Effect.catchTag(
      "RuntimeUnavailable",
      ({ message }) =>
        new StartError({
          reason: "RuntimeDown",
          message: `what runs on this host can't be told: ${message}`,
        }),
    ),
  )
  const startedAt = yield* Clock.currentTimeMillis
  const { ended, identity } = yield* Effect.tryPromise({
    try: () => bearAgent(program, table, directory, spec, startedAt),
    catch: refused,
  })
  const run = runs.add(makeRun(labels, identity, startedAt, "own"))
  ended((exit) => Deferred.doneUnsafe(run.over, Exit.succeed(exit)))
  yield* watcher.watch(run)
  yield* Effect.try({
    try: () => directory.writeRecord({ labels, startedAt, identity, exit: null }),
    catch: messageOf,
  }).pipe(
    // Its command line still tells who it is.
    Effect.catch((why) => Effect.logWarning(`the record of ${run.ref.handle} can't be written: ${why}`)),
  )
  return run.ref
})

const makeStart = (host: Host) => {
  /** Sessions with a start under way. */
  const starting = new Set<string>()
  /** What an earlier daemon left is known before the first start; afterwards only this daemon adds to it. */
  let isKnown = false
  const whatWasLeft = Effect.suspend(() =>
    isKnown
      ? Effect.void
      : Effect.andThen(
          host.runs.refresh,
          Effect.sync(() => {
            isKnown = true
          }),
        ),
  )
  return (spec: LaunchSpec): Effect.Effect<ContainerRef, StartError> =>
    Effect.suspend(() => {
      const { session } = spec.labels
      if (starting.has(session))
        return Effect.fail(
          new StartError({ reason: "NameTaken", message: `session ${session} is being started already` }),
        )
      starting.add(session)
      return Effect.ensuring(
        launch(host, spec, whatWasLeft),
        Effect.sync(() => starting.delete(session)),
      )
    }).pipe(Effect.uninterruptible)
}

/** Signals the very process of `ref`, or nothing. */
const send = (host: Host, ref: ContainerRef, name: "SIGTERM" | "SIGKILL", to: "leader" | "group") =>
  Effect.gen(function* () {
    const identity = parseHandle(ref.handle)
    if (identity === undefined || !(yield* aliveIn(host.table, identity))) return
    const run = host.runs.find(ref.labels)
    if (run !== undefined) run.signalled = true
    yield* Effect.try({
      try: () => signal(to === "group" ? -identity.pid : identity.pid, name),
      catch: (error) => new RuntimeUnavailable({ message: messageOf(error) }),
    })
  }).pipe(Effect.mapError(unavailable(`${name} can't be sent to ${ref.handle}`)))

const statusOf = (run: Run): ContainerStatus =>
  run.state === "exited"
    ? { _tag: "Exited", ref: run.ref, exit: run.exit ?? UNKNOWN_EXIT }
    : { _tag: "Running", ref: run.ref, startedAt: run.startedAt }

const adopt = Effect.fnUntraced(function* (
  { directory, hub, runs, table, watcher }: Host,
  ref: ContainerRef,
) {
  const run = yield* Effect.try({ try: () => runs.recall(ref), catch: messageOf })
  if (run.announce) return
  run.announce = true
  // It ended between the look that found it and now.
  if (run.state === "exited") hub.publish({ _tag: "Exited", ref: run.ref, exit: run.exit ?? UNKNOWN_EXIT })
  if (run.state !== "unwatched") return
  yield* watcher.watch(run)
  const { identity, startedAt } = run
  if (identity === null || !(yield* aliveIn(table, identity))) return yield* watcher.end(run, UNKNOWN_EXIT)
  yield* Effect.try({
    try: () => {
      if (directory.readRecord(ref.labels)?.identity == null)
        directory.writeRecord({ labels: ref.labels, startedAt, identity, exit: null })
    },
    catch: messageOf,
  })
})

const remove = Effect.fnUntraced(function* ({ directory, runs, table }: Host, ref: ContainerRef) {
  const run = runs.find(ref.labels)
  const identity = yield* Effect.try({
    try: () => run?.identity ?? directory.readRecord(ref.labels)?.identity ?? parseHandle(ref.handle),
    catch: messageOf,
  })
  const isOver =
    run?.state === "exited" ||
    (run?.state !== "watched" &&
      run?.state !== "ending" &&
      (identity == null || !(yield* aliveIn(table, identity))))
  if (!isOver) return yield* Effect.fail("it still runs; stop it first")
  yield* Effect.tryPromise({ try: () => directory.remove(ref.labels), catch: messageOf })
  runs.forget(ref.labels)
})

const sizeOf = (path: string, name: OutputName): number =>
  statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0

const outputOf = ({ directory, runs }: Host, { labels }: ContainerRef, maxBytes: number) => {
  const path = directory.path(labels)
  const tail = makeOutputTail(maxBytes)
  const limit = Math.min(Math.max(0, maxBytes), MAX_TAIL_BYTES)
  const tails = { stdout: tailOf(path, "stdout", limit), stderr: tailOf(path, "stderr", limit) }
  const sizes = { stdout: sizeOf(path, "stdout"), stderr: sizeOf(path, "stderr") }
  const order = runs.find(labels)?.order ?? makeOutputOrder()
  order.replay(tails, sizes, tail.feed)
  return tail.output()
}

const make = Effect.fnUntraced(function* (options: ProcessRuntimeOptions) {
  const table = processTable()
  const directory = makeRunDirectory(options.dataDir, options.install)
  const hub = makeRuntimeEventHub(EVENT_CAPACITY)
  yield* Effect.addFinalizer(() => Effect.sync(hub.close))
  const { maxOutputBytes } = options
  const watcher = yield* makeProcessWatcher({ table, directory, maxOutputBytes, publish: hub.publish })
  const runs = makeProcessRuns(table, directory, options.install, watcher)
  const host: Host = { program: options, table, directory, watcher, runs, hub }

  return ContainerRuntime.of({
    kind: "process",
    bootId: table.bootId,
    start: makeStart(host),
    stop: (ref) => send(host, ref, "SIGTERM", "leader"),
    kill: (ref) => send(host, ref, "SIGKILL", "group"),
    list: runs.refresh.pipe(
      Effect.map(() => runs.all().map(statusOf)),
      Effect.mapError(unavailable("what runs on this host can't be told")),
    ),
    adopt: (ref) => Effect.mapError(adopt(host, ref), unavailable(`${ref.handle} can't be adopted`)),
    output: (ref, maxBytes) =>
      Effect.try({
        try: () => outputOf(host, ref, maxBytes),
        catch: unavailable(`the output of ${ref.handle} can't be read`),
      }),
    remove: (ref) => Effect.mapError(remove(host, ref), unavailable(`${ref.handle} can't be removed`)),
    events: hub.events,
  })
})

export const ProcessRuntime = {
  layer: (options: ProcessRuntimeOptions): Layer.Layer<ContainerRuntime> =>
    Layer.effect(ContainerRuntime, make(options)),
}
