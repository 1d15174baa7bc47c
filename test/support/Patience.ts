/**
 * How long a test waits for a signal before it gives up: what suffices on a quiet machine, times how busy this one is. The signal ends
 * the wait, so that patience costs nothing where all is well.
 */
import * as os from "node:os"

const MOST = 20

export const patience = (ms: number): number =>
  Math.round(ms * Math.min(MOST, 2 + (2 * (os.loadavg()[0] ?? 0)) / os.availableParallelism()))
