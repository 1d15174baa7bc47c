/** A host with many series: what it costs to open, to keep, to wait with, and how late its slots are. Run in a process of its own. */
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { Schema } from "effect"
import { type Bench, median, ms, percentile, perSecond, timed } from "./Measure.ts"

/** What the process measured; one line of JSON on its standard output. */
export const SeriesFigures = Schema.Struct({
  /** From opening the ledger to the end of the first pass. */
  startMs: Schema.Finite,
  rss: Schema.Finite,
  idleMs: Schema.Finite,
  idleCpuMs: Schema.Finite,
  /** Of each slot: from its instant to the start of its container. */
  lateMs: Schema.Array(Schema.Finite),
  /** Slots of cron schedules that come due in one instant: until the last occurrence is in the ledger. */
  burstMs: Schema.Finite,
  /** What one small durable transaction takes on this disk, at this time: a late slot waited for a few of them. */
  commitMs: Schema.Array(Schema.Finite),
})
export type SeriesFigures = typeof SeriesFigures.Type
const decodeFigures = Schema.decodeUnknownSync(Schema.fromJsonString(SeriesFigures))

const CHILD = path.join(import.meta.dirname, "SeriesHost.ts")
const MAX_OUTPUT = 1024 * 1024

const inChild = async (dataDir: string, ...words: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, dataDir, ...words], {
    maxBuffer: MAX_OUTPUT,
  })
  return stdout
}

/** What is logged stands before it. */
const figuresOf = (output: string): SeriesFigures => decodeFigures(output.trim().split("\n").at(-1))

export const seriesBench: Bench = {
  name: "series",
  about:
    "many series on one ledger, due → container started; start-up, idle processor share and memory of a process of its own",
  run: async (size) => {
    const [series, slots, idleMs, burst] =
      size === "smoke" ? [1_000, 20, 500, 50] : [100_000, 400, 10_000, 2_000]
    const amounts = [slots, idleMs, burst].map(String)
    const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-bench-"))
    try {
      await inChild(dataDir, "fill", String(series))
      const empty = fs.mkdtempSync(path.join(dataDir, "empty-"))
      await inChild(empty, "fill", "0")
      const control = figuresOf(await inChild(empty, "run", ...amounts))
      const taken = figuresOf(await inChild(dataDir, "run", ...amounts))
      const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
      const share = (figures: SeriesFigures) => (figures.idleCpuMs / figures.idleMs) * 100
      const late = (name: string, rank: number, limitMs?: number) =>
        timed(
          `${slots} slots among ${series.toLocaleString("en")} series, ${name}`,
          percentile(taken.lateMs, rank),
          limitMs,
          { over: ["no others", percentile(control.lateMs, rank)] },
        )
      return [
        late("p50", 0.5),
        late("p99", 0.99, 100),
        {
          what: "one durable commit meanwhile, p50; p99",
          ours: `${ms(median(taken.commitMs))}; ${ms(percentile(taken.commitMs, 0.99))}`,
        },
        {
          what: `${burst.toLocaleString("en")} daily cron slots in one instant, all in the ledger after`,
          ours: ms(taken.burstMs),
          beside: perSecond(burst, taken.burstMs),
        },
        {
          what: "processor share while idle",
          ours: `${share(taken).toFixed(2)} %`,
          beside: `no series ${share(control).toFixed(2)} %`,
          target: { text: "< 1 %", verdict: share(taken) < 1 ? "meets" : "misses" },
        },
        {
          what: "start-up to the first pass",
          ours: ms(taken.startMs),
          beside: `no series ${ms(control.startMs)}`,
        },
        {
          what: "memory (RSS) after it",
          ours: megabytes(taken.rss),
          beside: `no series ${megabytes(control.rss)}`,
        },
      ]
    } finally {
      fs.rmSync(dataDir, { recursive: true, force: true })
    }
  },
}
