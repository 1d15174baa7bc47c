/** A host with many series: what it costs to open, to keep, to wait with, and how late its slots are. Run in a process of its own. */
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { Effect, Schema } from "effect"
import { inDirectory } from "./Host.ts"
import { type Bench, median, ms, percentile, perSecond, type Row, shown, timed } from "./Measure.ts"

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

/** The figures of a host with so many series. What is logged stands before them. */
const measure = (series: number, amounts: ReadonlyArray<number>) =>
  inDirectory((dataDir) =>
    Effect.promise(async () => {
      const child = (...words: ReadonlyArray<unknown>) =>
        promisify(execFile)(process.execPath, [CHILD, dataDir, ...words.map(String)], {
          maxBuffer: MAX_OUTPUT,
        })
      await child("fill", series)
      const { stdout } = await child("run", ...amounts)
      return decodeFigures(stdout.trim().split("\n").at(-1))
    }),
  )

export const seriesBench: Bench = {
  name: "series",
  about:
    "many series on one ledger, due → container started; start-up, idle processor share and memory of a process of its own",
  run: async (size) => {
    const [series, slots, idleMs, burst] =
      size === "smoke" ? [1_000, 20, 500, 50] : [100_000, 400, 10_000, 2_000]
    const amounts = [slots, idleMs, burst]
    const control = await measure(0, amounts)
    const taken = await measure(series, amounts)
    const share = (figures: SeriesFigures) => (figures.idleCpuMs / figures.idleMs) * 100
    const late = (name: string, rank: number, limitMs?: number) =>
      timed(
        `${slots} slots among ${shown(series)} series, ${name}`,
        percentile(taken.lateMs, rank),
        limitMs,
        { over: ["no others", percentile(control.lateMs, rank)] },
      )
    const both = (what: string, show: (figures: SeriesFigures) => string): Row => ({
      what,
      ours: show(taken),
      beside: `no series ${show(control)}`,
    })
    return [
      late("p50", 0.5),
      late("p99", 0.99, 100),
      {
        what: "one durable commit meanwhile, p50; p99",
        ours: `${ms(median(taken.commitMs))}; ${ms(percentile(taken.commitMs, 0.99))}`,
      },
      {
        what: `${shown(burst)} daily cron slots in one instant, all in the ledger after`,
        ours: ms(taken.burstMs),
        beside: perSecond(burst, taken.burstMs),
      },
      {
        ...both("processor share while idle", (figures) => `${share(figures).toFixed(2)} %`),
        target: ["< 1 %", share(taken) < 1],
      },
      both("start-up to the first pass", ({ startMs }) => ms(startMs)),
      both("memory (RSS) after it", ({ rss }) => `${Math.round(rss / 1e6)} MB`),
    ]
  },
}
