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
  type LaunchSpec,
  type RuntimeUnavailable,
  StartError,
  UNSEEN_EXIT,
} from "../../services/ContainerRuntime.ts"
import { messageOf, refusal, startOnce, statusOf, unavailable } from "../runtime/Launching.ts"
import { makeOutputTail, type OutputName, tailLimit } from "../runtime/OutputTail.ts"
import { makeRuntimeEventHub } from "../runtime/RuntimeEventHub.ts"
import { tailOf } from "./CappedOutput.ts"
import { makeOutputOrder } from "./OutputOrder.ts"
import { parseHandle } from "./ProcessIdentity.ts"
import { type AgentProgram, bearAgent, checkLaunch, startError } from "./ProcessLaunch.ts"
import { makeProcessRuns, type ProcessRuns } from "./ProcessRuns.ts"
import { processTable, signal } from "./ProcessTable.ts"
import {
  aliveIn,
  attempt,
  makeProcessWatcher,
  makeRun,
  orWarn,
  type Post,
  type ProcessWatcher,
} from "./ProcessWatcher.ts"
import { makeRunDirectory } from "./RunDirectory.ts"

export interface ProcessRuntimeOptions extends AgentProgram {
  readonly dataDir: string
  /** Of stdout and of stderr, per child. */
  readonly maxOutputBytes: number
}

/** What the calls of the runtime work on. */
interface Host extends Post {
  readonly program: AgentProgram
  readonly watcher: ProcessWatcher
  readonly runs: ProcessRuns
}

const refuseSecond = Effect.fnUntraced(function* ({ runs, table }: Host, { session }: ContainerLabels) {
  for (const { identity, ref, state } of runs.all()) {
    if (ref.labels.session !== session || state === "exited") continue
    if (state === "unwatched" && identity !== null && !(yield* aliveIn(table, identity))) continue
    return yield* refusal(
      "NameTaken",
      `session ${session} still has incarnation ${ref.labels.incarnation} running (${ref.handle})`,
    )
  }
})

const launch = Effect.fnUntraced(function* (
  host: Host,
  spec: LaunchSpec,
  whatWasLeft: Effect.Effect<void, RuntimeUnavailable | string>,
) {
  const { directory, program, runs, watcher } = host
  const { labels } = spec
  const refused = (error: unknown) =>
    error instanceof StartError ? error : startError(error, `session ${labels.session} can't be started`)
  yield* Effect.try({ try: () => checkLaunch(program, spec), catch: refused })
  yield* Effect.andThen(whatWasLeft, refuseSecond(host, labels)).pipe(
    Effect.mapError((error) =>
      error instanceof StartError
        ? error
        : refusal("RuntimeDown", `what runs on this host can't be told: ${messageOf(error)}`),
    ),
  )
  const startedAt = yield* Clock.currentTimeMillis
  const { ended, identity } = yield* Effect.tryPromise({
    try: () => bearAgent(host, spec, startedAt),
    catch: refused,
  })
  const run = runs.add(makeRun(labels, identity, startedAt, "own"))
  ended((exit) => Deferred.doneUnsafe(run.over, Exit.succeed(exit)))
  yield* watcher.watch(run)
  yield* attempt(() => directory.writeRecord({ labels, startedAt, identity, exit: null })).pipe(
    // Its command line still tells who it is.
    orWarn(`the record of ${run.ref.handle} can't be written`),
  )
  return run.ref
})

const makeStart = (host: Host) => {
  const { install } = host.program
  const starting = new Set<string>()
  /** What an earlier daemon left is known before the first start; afterwards only this daemon adds to it. */
  let isKnown = false
  const whatWasLeft = Effect.gen(function* () {
    if (!isKnown) yield* host.runs.refresh
    isKnown = true
  })
  return (spec: LaunchSpec) => startOnce(spec, { install, starting }, () => launch(host, spec, whatWasLeft))
}

/** Signals the very process of `ref`, or nothing. */
const send = Effect.fnUntraced(
  function* (host: Host, ref: ContainerRef, name: "SIGTERM" | "SIGKILL") {
    const identity = parseHandle(ref.handle)
    if (identity === undefined || !(yield* aliveIn(host.table, identity))) return
    const run = host.runs.find(ref.labels)
    if (run !== undefined) run.signalled = true
    // Asked is the leader, killed the group.
    yield* attempt(() => signal(name === "SIGKILL" ? -identity.pid : identity.pid, name))
  },
  (effect, _, { handle }, name) => Effect.mapError(effect, unavailable(`${name} can't be sent to ${handle}`)),
)

const adopt = Effect.fnUntraced(
  function* ({ directory, publish, runs, table, watcher }: Host, ref: ContainerRef) {
    const run = yield* attempt(() => runs.recall(ref))
    if (run.announce) return
    run.announce = true
    // It ended between the look that found it and now.
    if (run.exit !== null) publish({ _tag: "Exited", ref: run.ref, exit: run.exit })
    if (run.state !== "unwatched") return
    yield* watcher.watch(run)
    const { identity, startedAt } = run
    if (!(yield* aliveIn(table, identity))) return yield* watcher.end(run, UNSEEN_EXIT)
    yield* attempt(() => {
      if (directory.readRecord(ref.labels)?.identity == null)
        directory.writeRecord({ labels: ref.labels, startedAt, identity, exit: null })
    })
  },
  (effect, _, { handle }) => Effect.mapError(effect, unavailable(`${handle} can't be adopted`)),
)

const remove = Effect.fnUntraced(
  function* ({ directory, runs, table }: Host, { handle, labels }: ContainerRef) {
    const run = runs.find(labels)
    const identity = yield* attempt(
      () => run?.identity ?? directory.readRecord(labels)?.identity ?? parseHandle(handle) ?? null,
    )
    const isWatched = run?.state === "watched" || run?.state === "ending"
    const isOver = run?.state === "exited" || (!isWatched && !(yield* aliveIn(table, identity)))
    if (!isOver) return yield* Effect.fail("it still runs; stop it first")
    yield* attempt(() => directory.remove(labels))
    runs.forget(labels)
  },
  (effect, _, { handle }) => Effect.mapError(effect, unavailable(`${handle} can't be removed`)),
)

const sizeOf = (path: string, name: OutputName): number =>
  statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0

const outputOf = ({ directory, runs }: Host, { labels }: ContainerRef, maxBytes: number) => {
  const path = directory.path(labels)
  const tail = makeOutputTail(maxBytes)
  const limit = tailLimit(maxBytes)
  const tails = { stdout: tailOf(path, "stdout", limit), stderr: tailOf(path, "stderr", limit) }
  const sizes = { stdout: sizeOf(path, "stdout"), stderr: sizeOf(path, "stderr") }
  const order = runs.find(labels)?.order ?? makeOutputOrder()
  order.replay(tails, sizes, tail.feed)
  return tail.output()
}

const make = Effect.fnUntraced(function* (options: ProcessRuntimeOptions) {
  const { dataDir, install, maxOutputBytes } = options
  const table = processTable()
  const directory = makeRunDirectory(dataDir, install)
  const { close, events, publish } = makeRuntimeEventHub()
  yield* Effect.addFinalizer(() => Effect.sync(close))
  const post: Post = { table, directory, maxOutputBytes, publish }
  const watcher = yield* makeProcessWatcher(post)
  const runs = makeProcessRuns(table, directory, install, watcher)
  const host: Host = { ...post, program: options, watcher, runs }

  return ContainerRuntime.of({
    kind: "process",
    bootId: table.bootId,
    start: makeStart(host),
    stop: (ref) => send(host, ref, "SIGTERM"),
    kill: (ref) => send(host, ref, "SIGKILL"),
    list: runs.refresh.pipe(
      Effect.map(() => runs.all().map(({ exit, ref, startedAt }) => statusOf(ref, exit, startedAt))),
      Effect.mapError(unavailable("what runs on this host can't be told")),
    ),
    adopt: (ref) => adopt(host, ref),
    output: (ref, maxBytes) =>
      Effect.try({
        try: () => outputOf(host, ref, maxBytes),
        catch: unavailable(`the output of ${ref.handle} can't be read`),
      }),
    remove: (ref) => remove(host, ref),
    events,
  })
})

export const ProcessRuntime = {
  layer: (options: ProcessRuntimeOptions): Layer.Layer<ContainerRuntime> =>
    Layer.effect(ContainerRuntime, make(options)),
}
