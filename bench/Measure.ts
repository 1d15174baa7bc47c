/** How figures are taken and shown: medians of rounds, percentiles, the longest stall of the event loop, and one table per measure. */
import { monitorEventLoopDelay, performance } from "node:perf_hooks"

export interface Row {
  readonly what: string
  readonly figure: string
  /** Beside it: a baseline, or a ratio to one. */
  readonly beside?: string
  /** What docs/performance aims at, and whether this run meets it; informational. */
  readonly target?: { readonly text: string; readonly met: "meets" | "misses" }
}

export interface Bench {
  readonly name: string
  readonly about: string
  readonly run: (size: "full" | "smoke") => Promise<ReadonlyArray<Row>>
}

export const median = (figures: ReadonlyArray<number>): number => percentile(figures, 0.5)

export const percentile = (figures: ReadonlyArray<number>, share: number): number => {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const timed = async (work: () => unknown): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** The longest time in which the event loop did nothing else, in ms, above the monitor's own step. */
export const stallOf = async <A>(
  work: () => Promise<A>,
): Promise<{ readonly value: A; readonly stallMs: number }> => {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  // The monitor sees a stall only when a timer that it delayed has fired.
  await new Promise((resolve) => setTimeout(resolve, 5))
  monitor.reset()
  const value = await work()
  await new Promise((resolve) => setTimeout(resolve, 5))
  monitor.disable()
  return { value, stallMs: Math.max(0, monitor.max / 1e6 - 1) }
}

export const ms = (value: number): string =>
  value >= 100
    ? `${value.toFixed(0)} ms`
    : value >= 1
      ? `${value.toFixed(2)} ms`
      : `${(value * 1000).toFixed(0)} µs`

export const perSecond = (count: number, durationMs: number): string =>
  `${Math.round((count / durationMs) * 1000).toLocaleString("en")}/s`

export const target = (text: string, met: boolean): NonNullable<Row["target"]> => ({
  text,
  met: met ? "meets" : "misses",
})

export const print = (bench: Bench, rows: ReadonlyArray<Row>): void => {
  const cells = rows.map((row) => [
    row.what,
    row.figure,
    row.beside ?? "",
    row.target === undefined ? "" : `${row.target.met} ${row.target.text}`,
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  process.stdout.write(`\n${bench.name}: ${bench.about}\n`)
  for (const row of cells) {
    process.stdout.write(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()}\n`,
    )
  }
}
