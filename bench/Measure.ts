/** How figures are taken and shown: medians of rounds, percentiles, the longest stall of the event loop, and one table per measure. */
import { Effect } from "effect"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"

export interface Row {
  readonly what: string
  readonly ours: string
  /** What it is compared with: a baseline, a control, the limit of what it stands on. */
  readonly beside?: string
  /** Of the two, taken in the same run: the one figure that may be compared between machines. */
  readonly ratio?: string
  readonly target?: Target
}

/** What we aim at, and whether this run meets it; informational. */
export interface Target {
  readonly text: string
  readonly verdict: "meets" | "misses"
}

export type Size = "full" | "smoke"

export interface Bench {
  readonly name: string
  readonly about: string
  readonly run: (size: Size) => Promise<ReadonlyArray<Row>>
}

export const percentile = (figures: ReadonlyArray<number>, share: number): number => {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (figures: ReadonlyArray<number>): number => percentile(figures, 0.5)

/** Milliseconds since it was started. */
export const stopwatch = (): (() => number) => {
  const start = performance.now()
  return () => performance.now() - start
}

/** Milliseconds that the effect takes. */
export const elapsed = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const read = stopwatch()
    return Effect.map(work, read)
  })

/** The same work for each round; what each took, in ms. */
export const rounds = <A, E, R>(
  count: number,
  work: (round: number) => Effect.Effect<A, E, R>,
): Effect.Effect<ReadonlyArray<number>, E, R> =>
  Effect.forEach(
    Array.from({ length: count }, (_, round) => round),
    (round) => elapsed(Effect.suspend(() => work(round))),
  )

const PATIENCE_MS = 60_000

/** Waits until it is so, doing `meanwhile` again and again; dies when it never is, since a measure must end. */
export const until = <E, R>(
  what: string,
  holds: () => boolean,
  meanwhile: Effect.Effect<unknown, E, R>,
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const read = stopwatch()
    while (!holds()) {
      if (read() > PATIENCE_MS) return yield* Effect.die(new Error(`${what}: not in ${PATIENCE_MS} ms`))
      yield* meanwhile
    }
  })

/** A pure function over and over; the median of five rounds, in ms. */
export const repeat = (count: number, call: (n: number) => number): number => {
  let sink = 0
  const figures = Array.from({ length: 5 }, () => {
    const read = stopwatch()
    for (let n = 0; n < count; n++) sink += call(n)
    return read()
  })
  // Looked at, so that the compiler can't leave the calls out.
  if (Number.isNaN(sink)) throw new Error("what was measured returned no number")
  return median(figures)
}

const MONITOR_STEP_MS = 1
const MONITOR_SETTLES_MS = 5

/** The longest time in which the event loop did nothing else, in ms, above the monitor's own step. */
export const longestStall = <A, E, R>(
  work: Effect.Effect<A, E, R>,
): Effect.Effect<{ readonly value: A; readonly stallMs: number }, E, R> =>
  Effect.gen(function* () {
    const monitor = monitorEventLoopDelay({ resolution: MONITOR_STEP_MS })
    monitor.enable()
    // It measures from one of its ticks to the next, so one has to come before the work and one after it.
    yield* Effect.sleep(MONITOR_SETTLES_MS)
    const value = yield* work
    yield* Effect.sleep(MONITOR_SETTLES_MS)
    monitor.disable()
    return { value, stallMs: Math.max(0, monitor.max / 1e6 - MONITOR_STEP_MS) }
  })

export const ms = (value: number): string => {
  if (value >= 100) return `${Math.round(value).toLocaleString("en")} ms`
  if (value >= 1) return `${value.toFixed(2)} ms`
  return value >= 0.01 ? `${(value * 1000).toFixed(0)} µs` : `${(value * 1000).toFixed(2)} µs`
}

export const perSecond = (count: number, durationMs: number): string =>
  `${Math.round((count / durationMs) * 1000).toLocaleString("en")}/s`

const times = (ratio: number): string =>
  `${ratio >= 100 ? Math.round(ratio).toLocaleString("en") : ratio.toFixed(ratio >= 10 ? 0 : 2)} ×`

/** A duration in ms that shall not pass a limit. */
const atMost = (limitMs: number, value: number): Target => ({
  text: `≤ ${limitMs} ms`,
  verdict: value <= limitMs ? "meets" : "misses",
})

/** A rate that shall reach a limit. */
export const atLeast = (limit: number, count: number, durationMs: number): Target => ({
  text: `≥ ${limit.toLocaleString("en")}/s`,
  verdict: (count / durationMs) * 1000 >= limit ? "meets" : "misses",
})

type Beside = readonly [name: string, ms: number]

/** A row of a duration: how many times as long as what it is `over`, or as short as what it is `under`, and what it shall not pass. */
export const timed = (
  what: string,
  value: number,
  limitMs?: number,
  beside: { readonly over?: Beside; readonly under?: Beside } = {},
): Row => {
  const { over, under } = beside
  const [name, other] = over ?? under ?? ["", 0]
  return {
    what,
    ours: ms(value),
    ...(name === ""
      ? {}
      : { beside: `${name} ${ms(other)}`, ratio: times(over ? value / other : other / value) }),
    ...(limitMs === undefined ? {} : { target: atMost(limitMs, value) }),
  }
}

const HEADER = ["", "ours", "beside", "ratio", "target", "verdict"]

export const print = (bench: Bench, rows: ReadonlyArray<Row>): void => {
  const cells = rows.map((row) => [
    row.what,
    row.ours,
    row.beside ?? "",
    row.ratio ?? "",
    row.target?.text ?? "",
    row.target?.verdict ?? "",
  ])
  const table = [HEADER, ...cells]
  const widths = HEADER.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  process.stdout.write(`\n${bench.name}: ${bench.about}\n`)
  for (const row of table) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")
    process.stdout.write(`  ${line.trimEnd()}\n`)
  }
}
