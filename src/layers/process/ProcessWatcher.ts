/**
 * Watches the children of one daemon's life, each by a fiber of its own. It follows the child's output and, if an earlier daemon
 * started it, looks whether it still runs. It settles the end: what a dead runner left behind is killed, its output read to the
 * end and its exit written down before anybody is told.
 */
import { Clock, Deferred, Effect, Fiber, FiberMap, Latch, Option, Schedule, type Scope } from "effect"
import { watch } from "node:fs"
import { join } from "node:path"
import {
  type ContainerExit,
  type ContainerLabels,
  type ContainerRef,
  type RuntimeEvent,
  type RuntimeUnavailable,
  UNSEEN_EXIT,
} from "../../services/ContainerRuntime.ts"
import { messageOf, unavailable } from "../runtime/Launching.ts"
import { followOutput, type OutputFollower } from "./OutputFollower.ts"
import { makeOutputOrder } from "./OutputOrder.ts"
import { formatHandle, isAlive, type ProcessIdentity } from "./ProcessIdentity.ts"
import { type ProcessTable, signal } from "./ProcessTable.ts"
import { type RunDirectory, runKey } from "./RunDirectory.ts"

/** One run as this daemon knows it. */
export type Run = ReturnType<typeof makeRun>

export const makeRun = (
  labels: ContainerLabels,
  /** Null: which process it was, if any, is not known; it does not run any more. */
  identity: ProcessIdentity | null,
  startedAt: number | null,
  /** Whether we are its parent: then the platform tells the exit. */
  parentage: "own" | "foreign",
) => ({
  ref: { labels, handle: identity === null ? "" : formatHandle(identity) } satisfies ContainerRef,
  identity,
  startedAt,
  parentage,
  order: makeOutputOrder(),
  over: Deferred.makeUnsafe<ContainerExit>(),
  settled: Deferred.makeUnsafe<void>(),
  /** `unwatched`: found in the table, adopted by nobody yet. `ending`: dead, being settled. */
  state: "unwatched" as "unwatched" | "watched" | "ending" | "exited",
  /** Once it is `exited`. */
  exit: null as ContainerExit | null,
  /** This daemon has sent it a signal. */
  signalled: false,
  /** Somebody waits for its exit event. */
  announce: false,
  /** When it was last told that lines are lost. */
  lossToldAt: 0,
})

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

/** In the environment of everything that an agent starts, unless it takes care. */
export const MARKER = "LAMPLIGHTER_RUN"
export const markOf = ({ incarnation, install, session }: ContainerLabels): string =>
  `${install}/${session}/${incarnation}`

/** Where a watcher works, and whom it tells. */
export interface Post {
  readonly table: ProcessTable
  readonly directory: RunDirectory
  readonly maxOutputBytes: number
  readonly publish: (event: RuntimeEvent) => void
}

/** Fails with the message of what was thrown. */
export const attempt = <A>(body: () => A | Promise<A>): Effect.Effect<A, string> =>
  Effect.tryPromise({ try: async () => body(), catch: messageOf })

/** What fails is told, and no more than that. */
export const orWarn = (what: string) =>
  Effect.catch((error: unknown) => Effect.logWarning(`${what}: ${messageOf(error)}`))

/** Null runs no more. */
export const aliveIn = (
  table: ProcessTable,
  identity: ProcessIdentity | null,
): Effect.Effect<boolean, RuntimeUnavailable> =>
  identity === null
    ? Effect.succeed(false)
    : Effect.tryPromise({
        try: async () => isAlive(identity, table.bootId, await table.find(identity.pid)),
        catch: unavailable("the process table can't be read"),
      })

/** One look at its output; true if there is more. */
const lookAt = Effect.fnUntraced(function* ({ publish }: Post, run: Run, follower: OutputFollower) {
  const { busy, lines, lost } = yield* Effect.try({ try: follower.look, catch: messageOf })
  for (const line of lines) publish({ _tag: "Line", ref: run.ref, line })
  const now = yield* Clock.currentTimeMillis
  if (lost && now - run.lossToldAt >= LOST_LINES_TOLD_EVERY_MS) {
    run.lossToldAt = now
    publish({ _tag: "Gap", reason: `session ${run.ref.labels.session} writes faster than it is read` })
  }
  return busy
})

/** Opens `written` whenever the file was written to. False: the platform does not tell, so it is looked at from time to time. */
const watchFile = (path: string, written: Latch.Latch): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(() => watch(path, { persistent: false }, () => written.openUnsafe()).on("error", () => {})),
    (watcher) => Effect.sync(() => watcher.close()),
  ).pipe(
    Effect.as(true),
    Effect.catch(() => Effect.succeed(false)),
  )

/** Follows its output until it is interrupted, or until a look shows that somebody else's child is gone. */
const follow = Effect.fnUntraced(function* (post: Post, run: Run, follower: OutputFollower) {
  const written = Latch.makeUnsafe(true)
  const path = post.directory.path(run.ref.labels)
  const told = yield* Effect.forEach(["stdout", "stderr"], (name) => watchFile(join(path, name), written))
  const net = Effect.sleep(told.includes(false) ? UNTOLD_LOOK_MS : LOOK_MS)
  const looks = Effect.gen(function* () {
    yield* Effect.raceFirst(written.await, net)
    written.closeUnsafe()
    if (!(yield* lookAt(post, run, follower))) return
    written.openUnsafe()
    yield* Effect.sleep(BUSY_LOOK_MS)
  }).pipe(
    Effect.forever,
    // Its output is lost, its life is not: the exit still arrives.
    orWarn(`the output of ${run.ref.handle} can't be followed`),
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
        Effect.as(UNSEEN_EXIT),
      )

const killLeftovers = Effect.fnUntraced(function* ({ table }: Post, { identity, ref }: Run) {
  if (identity === null || identity.bootId !== table.bootId) return
  for (let round = 0; round < LEFTOVER_ROUNDS; round += 1) {
    const isNoneLeft = yield* attempt(async () => {
      // A process of that id which is not ours means that the id was free, so the group of that number is not ours either.
      const namesake = await table.find(identity.pid)
      const reused = namesake !== undefined && namesake.startTime !== identity.startTime
      const found = await table.belongingTo(identity.pid, `${MARKER}=${markOf(ref.labels)}`)
      const members = found.filter(
        ({ group, pid }) => pid !== process.pid && !(reused && group === identity.pid),
      )
      for (const { pid } of members) signal(pid, "SIGKILL")
      return members.length === 0
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
    orWarn(`what ${handle} left behind can't be killed`),
    Effect.forkIn(scope, { startImmediately: true }),
  )
  if (Option.isNone(yield* Effect.timeoutOption(Fiber.await(killing), LEFTOVER_LIMIT_MS)))
    yield* Effect.logWarning(
      `what ${handle} left behind is still being looked for after ${LEFTOVER_LIMIT_MS} ms`,
    )
})

/** Whether the kernel has killed a process for want of memory a moment ago. Which one it does not say. */
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
  return look
})

/** Reads what it wrote at last. */
const readToTheEnd = Effect.fnUntraced(
  function* (post: Post, run: Run, follower: OutputFollower) {
    const look = lookAt(post, run, follower)
    yield* Effect.repeat(look, { times: FINAL_LOOKS, until: (isBusy) => !isBusy })
    const line = follower.rest()
    if (line !== undefined) post.publish({ _tag: "Line", ref: run.ref, line })
  },
  Effect.catch(() => Effect.void),
)

const openFollower = ({ directory, maxOutputBytes }: Post, { order, ref }: Run) =>
  Effect.acquireRelease(
    attempt(() => followOutput(directory.path(ref.labels), maxOutputBytes, order)),
    (follower) => Effect.sync(follower.close),
  ).pipe(orWarn(`the output of ${ref.handle} can't be followed`))

/** From now to its exit, told if somebody waits for it. `scope`: of the daemon. */
const live = Effect.fnUntraced(function* (
  post: Post,
  run: Run,
  hasJustKilledForMemory: Effect.Effect<boolean>,
  scope: Scope.Scope,
) {
  const follower = run.state === "watched" ? yield* openFollower(post, run) : undefined
  const seen = yield* Effect.raceFirst(
    Deferred.await(run.over),
    follower === undefined ? untilGone(post, run) : follow(post, run, follower),
  )
  run.state = "ending"
  const isOfMemory = seen.signal === "SIGKILL" && !run.signalled && (yield* hasJustKilledForMemory)
  const exit = { ...seen, oomKilled: isOfMemory }
  yield* killLeftoversInTime(post, run, scope)
  if (follower !== undefined) yield* readToTheEnd(post, run, follower)
  const { identity, ref, startedAt } = run
  yield* attempt(() => post.directory.writeRecord({ labels: ref.labels, startedAt, identity, exit })).pipe(
    orWarn(`the exit of ${ref.handle} can't be written`),
  )
  run.exit = exit
  run.state = "exited"
  if (run.announce) post.publish({ _tag: "Exited", ref, exit })
  yield* Deferred.succeed(run.settled, undefined)
}, Effect.scoped)

export type ProcessWatcher = Effect.Success<ReturnType<typeof makeProcessWatcher>>

export const makeProcessWatcher = Effect.fnUntraced(function* (post: Post) {
  const scope = yield* Effect.scope
  const memory = yield* watchMemory(post.table)
  const fibers = yield* FiberMap.make<string>()
  const run = (one: Run) =>
    FiberMap.run(fibers, runKey(one.ref.labels), live(post, one, memory, scope), { onlyIfMissing: true })
  return {
    watch: Effect.fnUntraced(function* (one: Run) {
      if (one.state !== "unwatched") return
      one.state = "watched"
      one.announce = true
      yield* run(one)
    }),
    /** The run is dead. Returns when it is settled, once, whoever asks. Its exit is published if somebody waits for it. */
    end: Effect.fnUntraced(function* (one: Run, exit: ContainerExit) {
      yield* Deferred.succeed(one.over, exit)
      if (one.state === "unwatched") yield* run(one)
      yield* Deferred.await(one.settled)
    }),
  }
})
