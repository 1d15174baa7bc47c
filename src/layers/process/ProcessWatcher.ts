/**
 * Watches the children of one daemon's life, each by a fiber of its own. It follows the child's output and, if an earlier daemon
 * started it, looks whether it still runs. It settles the end: what a dead runner left behind is killed, its output read to the
 * end and its exit written down before anybody is told.
 */
import { Clock, Deferred, Effect, Exit, Fiber, FiberMap, Latch, Schedule, type Scope } from "effect"
import { type FSWatcher, watch } from "node:fs"
import { join } from "node:path"
import {
  type ContainerExit,
  type ContainerLabels,
  type ContainerRef,
  type RuntimeEvent,
  RuntimeUnavailable,
} from "../../services/ContainerRuntime.ts"
import { followOutput, type OutputFollower } from "./OutputFollower.ts"
import { makeOutputOrder, type OutputOrder } from "./OutputOrder.ts"
import { formatHandle, isAlive, type ProcessIdentity } from "./ProcessIdentity.ts"
import type { ProcessTable } from "./ProcessTable.ts"
import { type RunDirectory, runKey } from "./RunDirectory.ts"

/** One run as this daemon knows it. */
export interface Run {
  readonly ref: ContainerRef
  /** Null: which process it was, if any, is not known; it does not run any more. */
  readonly identity: ProcessIdentity | null
  readonly startedAt: number | null
  /** Whether we are its parent: then the platform tells the exit. */
  readonly parentage: "own" | "foreign"
  readonly order: OutputOrder
  readonly over: Deferred.Deferred<ContainerExit>
  readonly settled: Deferred.Deferred<void>
  /** `unwatched`: found in the table, adopted by nobody yet. `ending`: dead, being settled. */
  state: "unwatched" | "watched" | "ending" | "exited"
  exit: ContainerExit | null
  /** This daemon has sent it a signal. */
  signalled: boolean
  /** Somebody waits for its exit event. */
  announce: boolean
}

export const makeRun = (
  labels: ContainerLabels,
  identity: ProcessIdentity | null,
  startedAt: number | null,
  parentage: Run["parentage"],
): Run => ({
  ref: { labels, handle: identity === null ? "" : formatHandle(identity) },
  identity,
  startedAt,
  parentage,
  order: makeOutputOrder(),
  over: Deferred.makeUnsafe(),
  settled: Deferred.makeUnsafe(),
  state: "unwatched",
  exit: null,
  signalled: false,
  announce: false,
})

export const UNKNOWN_EXIT: ContainerExit = { exitCode: null, signal: null, oomKilled: false, at: null }

/** The platform tells when a file was written to; this is the net under it, and how often those of others are looked for. */
const LOOK_MS = 250
/** Where the platform tells nothing. */
const UNTOLD_LOOK_MS = 50
const BUSY_LOOK_MS = 2
const MEMORY_LOOK_MS = 1_000
const LOST_LINES_TOLD_EVERY_MS = 10_000
/** Enough looks to read what a dead child can have left, given that its files are cut at their cap at each. */
const FINAL_LOOKS = 64
const LEFTOVER_ROUNDS = 20
const LEFTOVER_PAUSE_MS = 10
/** Reading another process's environment can block in the kernel for as long as that process is stuck; nobody's exit waits for that. */
const LEFTOVER_LIMIT_MS = 5_000

export const markerOf = (ref: ContainerRef): string =>
  `LAMPLIGHTER_RUN=${ref.labels.install}/${ref.labels.session}/${ref.labels.incarnation}`

/** To one process or (negative) one group; gone already is success. */
export const signal = (target: number, name: "SIGTERM" | "SIGKILL"): void => {
  try {
    process.kill(target, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** Where a watcher works, and whom it tells. */
interface Post {
  readonly table: ProcessTable
  readonly directory: RunDirectory
  readonly maxOutputBytes: number
  readonly publish: (event: RuntimeEvent) => void
}

const unread = (error: unknown) =>
  new RuntimeUnavailable({ message: `the process table can't be read: ${String(error)}` })

export const aliveIn = (
  table: ProcessTable,
  identity: ProcessIdentity,
): Effect.Effect<boolean, RuntimeUnavailable> =>
  Effect.tryPromise({
    try: async () => isAlive(identity, table.bootId, await table.find(identity.pid)),
    catch: unread,
  })

/** One look at its output; true if there is more. */
const lookAt = ({ publish }: Post, run: Run, follower: OutputFollower, lostLines: { toldAt: number }) =>
  Effect.gen(function* () {
    const look = yield* Effect.try({ try: () => follower.look(), catch: String })
    for (const line of look.lines) publish({ _tag: "Line", ref: run.ref, line })
    const now = yield* Clock.currentTimeMillis
    if (look.lost && now - lostLines.toldAt >= LOST_LINES_TOLD_EVERY_MS) {
      lostLines.toldAt = now
      publish({ _tag: "Gap", reason: `session ${run.ref.labels.session} writes faster than it is read` })
    }
    return look.busy
  })

/** Opened whenever one of its files was written to. False: the platform does not tell. */
const watchFiles = (path: string, written: Latch.Latch): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const watchers: Array<FSWatcher> = []
      try {
        for (const name of ["stdout", "stderr"])
          watchers.push(
            watch(join(path, name), { persistent: false }, () => written.openUnsafe()).on("error", () => {}),
          )
      } catch {
        // Looked at from time to time.
      }
      return watchers
    }),
    (watchers) =>
      Effect.sync(() => {
        for (const watcher of watchers) watcher.close()
      }),
  ).pipe(Effect.map((watchers) => watchers.length === 2))

/** Follows its output until it is interrupted, or until a look shows that somebody else's child is gone. */
const follow = Effect.fnUntraced(function* (post: Post, run: Run, follower: OutputFollower) {
  const written = Latch.makeUnsafe(true)
  const isTold = yield* watchFiles(post.directory.path(run.ref.labels), written)
  const net = Effect.sleep(isTold ? LOOK_MS : UNTOLD_LOOK_MS)
  const lostLines = { toldAt: 0 }
  const looks = written.await.pipe(
    Effect.raceFirst(net),
    Effect.andThen(Effect.sync(() => written.closeUnsafe())),
    Effect.andThen(lookAt(post, run, follower, lostLines)),
    Effect.tap((isBusy) => (isBusy ? Effect.sync(() => written.openUnsafe()) : Effect.void)),
    Effect.tap((isBusy) => (isBusy ? Effect.sleep(BUSY_LOOK_MS) : Effect.void)),
    Effect.forever,
    // Its output is lost, its life is not: the exit still arrives.
    Effect.catch((error) => Effect.logWarning(`the output of ${run.ref.handle} can't be followed: ${error}`)),
    Effect.andThen(Effect.never),
  )
  return yield* Effect.raceFirst(looks, untilGone(post, run))
}, Effect.scoped)

const untilGone = ({ table }: Post, { identity, parentage }: Run): Effect.Effect<ContainerExit> =>
  parentage === "own" || identity === null
    ? Effect.never
    : aliveIn(table, identity).pipe(
        Effect.tapError(({ message }) => Effect.logWarning(message)),
        Effect.catch(() => Effect.succeed(true)),
        Effect.repeat({ schedule: Schedule.spaced(LOOK_MS), until: (lives) => !lives }),
        Effect.as(UNKNOWN_EXIT),
      )

const killLeftovers = Effect.fnUntraced(function* ({ table }: Post, { identity, ref }: Run) {
  if (identity === null || identity.bootId !== table.bootId) return
  for (let round = 0; round < LEFTOVER_ROUNDS; round += 1) {
    const isNoneLeft = yield* Effect.tryPromise({
      try: async () => {
        // A process of that id which is not ours means that the id was free, so the group of that number is not ours either.
        const namesake = await table.find(identity.pid)
        const reused = namesake !== undefined && namesake.startTime !== identity.startTime
        const members = (await table.belongingTo(identity.pid, markerOf(ref))).filter(
          (member) => member.pid !== process.pid && !(reused && member.group === identity.pid),
        )
        for (const member of members) signal(member.pid, "SIGKILL")
        return members.length === 0
      },
      catch: String,
    })
    if (isNoneLeft) return
    yield* Effect.sleep(LEFTOVER_PAUSE_MS)
  }
  yield* Effect.logWarning(`processes of ${ref.handle} survive SIGKILL`)
})

/** Goes on in the background when its time is up. */
const killLeftoversInTime = Effect.fnUntraced(function* (post: Post, run: Run, scope: Scope.Scope) {
  const { handle } = run.ref
  const killing = yield* killLeftovers(post, run).pipe(
    Effect.catch((error) => Effect.logWarning(`what ${handle} left behind can't be killed: ${error}`)),
    Effect.forkIn(scope, { startImmediately: true }),
  )
  yield* Fiber.await(killing).pipe(
    Effect.timeoutOrElse({
      duration: LEFTOVER_LIMIT_MS,
      orElse: () =>
        Effect.logWarning(
          `what ${handle} left behind is still being looked for after ${LEFTOVER_LIMIT_MS} ms`,
        ),
    }),
  )
})

interface MemoryWatch {
  /** Whether the kernel has killed a process for want of memory a moment ago. Which one it does not say. */
  readonly hasJustKilled: Effect.Effect<boolean>
}

const watchMemory = Effect.fnUntraced(function* (table: ProcessTable) {
  let count = table.memoryKills()
  let grewAt = Number.NEGATIVE_INFINITY
  const look = Effect.gen(function* () {
    const now = table.memoryKills()
    const at = yield* Clock.currentTimeMillis
    if (now !== count) grewAt = at
    count = now
    return at - grewAt < 2 * MEMORY_LOOK_MS
  })
  if (count !== null) yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced(MEMORY_LOOK_MS)))
  return { hasJustKilled: look } satisfies MemoryWatch
})

/** Reads what it wrote at last. */
const readToTheEnd = Effect.fnUntraced(
  function* (post: Post, run: Run, follower: OutputFollower) {
    const lostLines = { toldAt: 0 }
    yield* Effect.repeat(lookAt(post, run, follower, lostLines), {
      times: FINAL_LOOKS,
      until: (isBusy) => !isBusy,
    })
    const line = follower.rest()
    if (line !== undefined) post.publish({ _tag: "Line", ref: run.ref, line })
  },
  Effect.catch(() => Effect.void),
)

const openFollower = ({ directory, maxOutputBytes }: Post, { order, ref }: Run) =>
  Effect.acquireRelease(
    Effect.try({ try: () => followOutput(directory.path(ref.labels), maxOutputBytes, order), catch: String }),
    (follower) => Effect.sync(follower.close),
  ).pipe(
    Effect.catch((error) =>
      Effect.as(Effect.logWarning(`the output of ${ref.handle} can't be followed: ${error}`), null),
    ),
  )

/** From now to its exit, told if somebody waits for it. `scope`: of the daemon. */
const live = Effect.fnUntraced(function* (post: Post, run: Run, memory: MemoryWatch, scope: Scope.Scope) {
  const follower = run.state === "watched" ? yield* openFollower(post, run) : null
  const seen = yield* Effect.raceFirst(
    Deferred.await(run.over),
    follower === null ? untilGone(post, run) : follow(post, run, follower),
  )
  run.state = "ending"
  const isOfMemory = seen.signal === "SIGKILL" && !run.signalled && (yield* memory.hasJustKilled)
  const exit = { ...seen, oomKilled: isOfMemory }
  yield* killLeftoversInTime(post, run, scope)
  if (follower !== null) yield* readToTheEnd(post, run, follower)
  const { identity, ref, startedAt } = run
  yield* Effect.try({
    try: () => post.directory.writeRecord({ labels: ref.labels, startedAt, identity, exit }),
    catch: String,
  }).pipe(Effect.catch((error) => Effect.logWarning(`the exit of ${ref.handle} can't be written: ${error}`)))
  run.exit = exit
  run.state = "exited"
  if (run.announce) post.publish({ _tag: "Exited", ref, exit })
  yield* Deferred.succeed(run.settled, undefined)
}, Effect.scoped)

export interface ProcessWatcher {
  readonly watch: (run: Run) => Effect.Effect<void>
  /** The run is dead. Returns when it is settled, once, whoever asks. Its exit is published if somebody waits for it. */
  readonly end: (run: Run, exit: ContainerExit) => Effect.Effect<void>
}

export const makeProcessWatcher = Effect.fnUntraced(function* (
  post: Post,
): Effect.fn.Return<ProcessWatcher, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const memory = yield* watchMemory(post.table)
  const fibers = yield* FiberMap.make<string>()
  const run = (one: Run) => {
    const { incarnation, session } = one.ref.labels
    return FiberMap.run(fibers, runKey(session, incarnation), live(post, one, memory, scope), {
      onlyIfMissing: true,
    })
  }
  return {
    watch: Effect.fnUntraced(function* (one) {
      if (one.state !== "unwatched") return
      one.state = "watched"
      one.announce = true
      yield* run(one)
    }),
    end: Effect.fnUntraced(function* (one, exit) {
      yield* Deferred.done(one.over, Exit.succeed(exit))
      if (one.state === "unwatched") yield* run(one)
      yield* Deferred.await(one.settled)
    }),
  }
})
