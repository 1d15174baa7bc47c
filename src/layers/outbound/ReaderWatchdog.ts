/**
 * Kills the reader process from a second thread when one request takes far longer than the daemon would wait. The daemon normally kills
 * an overdue reader itself; this covers a reader whose daemon was killed while SQLite was busy. It costs nothing when idle.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads"

/** Longer than any deadline that the daemon sets. */
const LONGEST_REQUEST_MS = 10_000

export interface Watchdog {
  readonly begin: () => void
  readonly end: () => void
}

/** Cell 0 holds 0 while idle, else the number of the request. */
const watch = (state: Int32Array, limitMs: number): never => {
  for (;;) {
    const current = Atomics.load(state, 0)
    const woken = Atomics.wait(state, 0, current, current === 0 ? Infinity : limitMs)
    if (woken === "timed-out") process.kill(process.pid, "SIGKILL")
  }
}

/** Starts the thread; the process's exit ends it. */
export const startWatchdog = (limitMs: number = LONGEST_REQUEST_MS): Watchdog => {
  const state = new Int32Array(new SharedArrayBuffer(4))
  // Keep its streams separate: piping them would open this process's stdout and make the answers' pipe non-blocking.
  new Worker(new URL(import.meta.url), {
    workerData: { watchdog: state, limitMs },
    execArgv: [],
    stdout: true,
    stderr: true,
  }).unref()
  let requests = 0
  const set = (value: number) => {
    Atomics.store(state, 0, value)
    Atomics.notify(state, 0)
  }
  return {
    begin: () => {
      requests = (requests % 0x7fff_ffff) + 1
      set(requests)
    },
    end: () => set(0),
  }
}

if (!isMainThread) {
  const { limitMs, watchdog } = workerData as { readonly watchdog: Int32Array; readonly limitMs: number }
  watch(watchdog, limitMs)
}
