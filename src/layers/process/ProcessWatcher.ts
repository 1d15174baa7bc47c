/**
 * Watches the children of one daemon's life: one timer for all of them follows their output and, for those that an earlier
 * daemon started, looks whether they still run. Settles every end: what a dead runner left behind is killed, its output read
 * to the end and its exit written down before anybody is told.
 */
import type { ContainerExit, ContainerRef, RuntimeEvent } from "../../services/ContainerRuntime.ts"
import { followOutput, type Look, type OutputFollower } from "./OutputFollower.ts"
import { isAlive, type ProcessIdentity } from "./ProcessIdentity.ts"
import type { ProcessEntry, ProcessTable } from "./ProcessTable.ts"
import type { RunDirectory } from "./RunDirectory.ts"

/** One run as this daemon knows it. */
export interface Run {
  readonly ref: ContainerRef
  /** Null: which process it was, if any, is not known; it does not run any more. */
  readonly identity: ProcessIdentity | null
  readonly startedAt: number | null
  /** `unwatched`: found in the table, adopted by nobody yet. `ending`: dead, being settled. */
  state: "unwatched" | "watched" | "ending" | "exited"
  exit: ContainerExit | null
  /** Whether we are its parent: then the platform tells the exit. */
  readonly parentage: "own" | "foreign"
  follower: OutputFollower | null
  settled: Promise<void> | null
  /** Somebody waits for its exit event. */
  announce: boolean
  lostLinesToldAt: number
}

export const UNKNOWN_EXIT: ContainerExit = { exitCode: null, signal: null, oomKilled: false, at: null }

const LOOK_MS = 50
const BUSY_LOOK_MS = 2
const LIVENESS_EVERY_MS = 250
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

export interface ProcessWatcher {
  readonly watch: (run: Run) => void
  /** The run is dead: settles it once, whoever asks. Publishes its exit if somebody waits for it. */
  readonly end: (run: Run, exit: ContainerExit) => Promise<void>
  readonly alive: (identity: ProcessIdentity) => Promise<boolean>
  readonly close: () => void
}

export const makeProcessWatcher = (options: {
  readonly table: ProcessTable
  readonly directory: RunDirectory
  readonly maxOutputBytes: number
  readonly publish: (event: RuntimeEvent) => void
  readonly warn: (message: string) => void
}): ProcessWatcher => {
  const { directory, publish, table, warn } = options
  const watched = new Set<Run>()
  let timer: NodeJS.Timeout | undefined
  let livenessAt = 0
  let checking = false
  let closed = false

  const alive = async (identity: ProcessIdentity): Promise<boolean> =>
    isAlive(identity, table.bootId, await table.find(identity.pid))

  const publishLook = (run: Run, look: Look): void => {
    for (const line of look.lines) publish({ _tag: "Line", ref: run.ref, line })
    const now = Date.now()
    if (!look.lost || now - run.lostLinesToldAt < LOST_LINES_TOLD_EVERY_MS) return
    run.lostLinesToldAt = now
    publish({ _tag: "Gap", reason: `session ${run.ref.labels.session} writes faster than it is read` })
  }

  const lookAt = (run: Run): boolean => {
    if (run.follower === null) return false
    try {
      const look = run.follower.look()
      publishLook(run, look)
      return look.busy
    } catch (error) {
      // Its output is lost, its life is not: the exit still arrives.
      warn(`the output of ${run.ref.handle} can't be followed: ${String(error)}`)
      closeFollower(run)
      return false
    }
  }

  const closeFollower = (run: Run): void => {
    run.follower?.close()
    run.follower = null
  }

  const checkForeign = async (): Promise<void> => {
    if (checking) return
    checking = true
    try {
      for (const run of watched) {
        if (run.parentage === "own" || run.state !== "watched" || run.identity === null) continue
        if (!(await alive(run.identity))) void end(run, UNKNOWN_EXIT)
      }
    } catch (error) {
      warn(`the process table can't be read: ${String(error)}`)
    } finally {
      checking = false
    }
  }

  const tick = (): void => {
    timer = undefined
    let busy = false
    for (const run of watched) if (run.state === "watched" && lookAt(run)) busy = true
    const now = performance.now()
    if (now - livenessAt >= LIVENESS_EVERY_MS) {
      livenessAt = now
      void checkForeign()
    }
    arm(busy ? BUSY_LOOK_MS : LOOK_MS)
  }

  const arm = (delayMs: number): void => {
    if (closed || watched.size === 0 || timer !== undefined) return
    timer = setTimeout(tick, delayMs)
    timer.unref()
  }

  const killLeftovers = async (run: Run): Promise<void> => {
    const { identity } = run
    if (identity === null || identity.bootId !== table.bootId) return
    for (let round = 0; round < LEFTOVER_ROUNDS; round += 1) {
      // A process of that id which is not ours means that the id was free, so the group of that number is not ours either.
      const namesake = await table.find(identity.pid)
      const reused = namesake !== undefined && namesake.startTime !== identity.startTime
      const members = (await table.belongingTo(identity.pid, markerOf(run.ref))).filter(
        (member: ProcessEntry) => member.pid !== process.pid && !(reused && member.group === identity.pid),
      )
      if (members.length === 0) return
      for (const member of members) signal(member.pid, "SIGKILL")
      await new Promise((resolve) => setTimeout(resolve, LEFTOVER_PAUSE_MS))
    }
    warn(`processes of ${run.ref.handle} survive SIGKILL`)
  }

  /** Goes on in the background when its time is up. */
  const killLeftoversInTime = async (run: Run): Promise<void> => {
    let timeout: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timeout = setTimeout(() => {
        warn(`what ${run.ref.handle} left behind is still being looked for after ${LEFTOVER_LIMIT_MS} ms`)
        resolve()
      }, LEFTOVER_LIMIT_MS)
    })
    try {
      await Promise.race([killLeftovers(run), late])
    } finally {
      clearTimeout(timeout)
    }
  }

  const settle = async (run: Run, exit: ContainerExit): Promise<void> => {
    try {
      await killLeftoversInTime(run)
    } catch (error) {
      warn(`what ${run.ref.handle} left behind can't be killed: ${String(error)}`)
    }
    if (closed) return
    for (let turn = 0; turn < FINAL_LOOKS && lookAt(run); turn += 1);
    const rest = run.follower?.rest()
    closeFollower(run)
    if (rest !== undefined) publish({ _tag: "Line", ref: run.ref, line: rest })
    try {
      const { ref, identity, startedAt } = run
      const { exitCode, signal: name, at } = exit
      directory.writeRecord({
        labels: ref.labels,
        startedAt,
        identity,
        exit: { exitCode, signal: name, at },
      })
    } catch (error) {
      warn(`the exit of ${run.ref.handle} can't be written: ${String(error)}`)
    }
    watched.delete(run)
    run.exit = exit
    run.state = "exited"
    if (run.announce) publish({ _tag: "Exited", ref: run.ref, exit })
  }

  const end = (run: Run, exit: ContainerExit): Promise<void> => {
    if (closed) return Promise.resolve()
    if (run.settled === null) {
      run.state = "ending"
      run.settled = settle(run, exit)
    }
    return run.settled
  }

  return {
    watch: (run) => {
      if (closed || run.state !== "unwatched") return
      run.state = "watched"
      run.announce = true
      try {
        run.follower = followOutput(directory.path(run.ref.labels), options.maxOutputBytes)
      } catch (error) {
        warn(`the output of ${run.ref.handle} can't be followed: ${String(error)}`)
      }
      watched.add(run)
      arm(LOOK_MS)
    },
    end,
    alive,
    close: () => {
      closed = true
      clearTimeout(timer)
      for (const run of watched) closeFollower(run)
      watched.clear()
    },
  }
}
