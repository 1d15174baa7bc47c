/** How figures are taken and shown: medians of rounds, percentiles, the longest stall of the event loop, and one table per measure. */
import { Effect } from "effect"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"

export interface Row {
  readonly what: string
  readonly ours: string
  /** What it is compared with: a baseline, a control, the limit of what it stands on. */
  readonly beside?: string | undefined
  /** Of the two, taken in the same run: the one figure that may be compared between machines. */
  readonly ratio?: string | undefined
  /** What we aim at, and whether this run meets it; informational. */
  readonly target?: readonly [text: string, met: boolean] | undefined
}

export type Size = "full" | "smoke"

export interface Bench {
  readonly name: string
  readonly about: string
  readonly run: (size: Size) => Promise<ReadonlyArray<Row>>
}

/** Numbers from 0 on. */
export const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

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
  Effect.suspend(() => Effect.map(work, stopwatch()))

/** The same work for each round; what each took, in ms. */
export const rounds = <A, E, R>(count: number, work: (round: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(upTo(count), (round) => elapsed(Effect.suspend(() => work(round))))

const PATIENCE_MS = 60_000

/** Looks again and again until it is so; dies when it never is, since a measure must end. */
export const until = Effect.fnUntraced(function* <E, R>(what: string, look: Effect.Effect<boolean, E, R>) {
  const read = stopwatch()
  while (!(yield* look))
    if (read() > PATIENCE_MS) return yield* Effect.die(new Error(`${what}: not in ${PATIENCE_MS} ms`))
})

/** A pure function over and over; the median of five rounds, in ms. */
export const repeat = (count: number, call: (n: number) => number): number => {
  let sink = 0
  const figures = upTo(5).map(() => {
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

/** What it takes, and the longest time in which the event loop did nothing else, in ms, above the monitor's own step. */
export const stalls = Effect.fnUntraced(function* <A, E, R>(work: Effect.Effect<A, E, R>) {
  const monitor = monitorEventLoopDelay({ resolution: MONITOR_STEP_MS })
  monitor.enable()
  // It measures from one of its ticks to the next, so one has to come before the work and one after it.
  yield* Effect.sleep(MONITOR_SETTLES_MS)
  const read = stopwatch()
  const value = yield* work
  const tookMs = read()
  yield* Effect.sleep(MONITOR_SETTLES_MS)
  monitor.disable()
  return { value, tookMs, stallMs: Math.max(0, monitor.max / 1e6 - MONITOR_STEP_MS) }
})

export type Stalls = Omit<Effect.Success<ReturnType<typeof stalls>>, "value">

/** The median of the rounds' longest stalls: a single round may catch the machine at something else. */
export const medians = (taken: ReadonlyArray<Stalls>): Stalls => ({
  tookMs: median(taken.map(({ tookMs }) => tookMs)),
  stallMs: median(taken.map(({ stallMs }) => stallMs)),
})

export const ms = (value: number): string => {
  if (value >= 100) return `${shown(Math.round(value))} ms`
  if (value >= 1) return `${value.toFixed(2)} ms`
  return value >= 0.01 ? `${(value * 1000).toFixed(0)} µs` : `${(value * 1000).toFixed(2)} µs`
}

/** With commas between thousands. */
export const shown = (value: number): string => value.toLocaleString("en")

export const perSecond = (count: number, durationMs: number): string =>
  `${shown(Math.round((count / durationMs) * 1000))}/s`

const times = (ratio: number): string =>
  `${ratio >= 100 ? shown(Math.round(ratio)) : ratio.toFixed(ratio >= 10 ? 0 : 2)} ×`

/** A row of a rate, and what it shall reach. */
export const rate = (what: string, count: number, durationMs: number, limit?: number): Row => ({
  what,
  ours: perSecond(count, durationMs),
  target: limit === undefined ? undefined : [`≥ ${shown(limit)}/s`, (count / durationMs) * 1000 >= limit],
})

type Beside = readonly [name: string, ms: number]

/** A row of a duration: how many times as long as what it is `over`, or as short as what it is `under`, and what it shall not pass. */
export const timed = (
  what: string,
  value: number,
  limitMs?: number,
  { over, under }: { readonly over?: Beside; readonly under?: Beside } = {},
): Row => {
  const beside = over ?? under
  return {
    what,
    ours: ms(value),
    beside: beside && `${beside[0]} ${ms(beside[1])}`,
    ratio: beside && times(over ? value / beside[1] : beside[1] / value),
    target: limitMs === undefined ? undefined : [`≤ ${limitMs} ms`, value <= limitMs],
  }
}

const HEADER = ["", "ours", "beside", "ratio", "target", "verdict"]

export const print = ({ about, name }: Bench, rows: ReadonlyArray<Row>): void => {
  const cells = rows.map(({ beside = "", ours, ratio = "", target, what }) => {
    const verdict = target === undefined ? [] : [target[0], target[1] ? "meets" : "misses"]
    return [what, ours, beside, ratio, ...verdict]
  })
  const table = [HEADER, ...cells]
  const widths = HEADER.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  process.stdout.write(`\n${name}: ${about}\n`)
  for (const row of table) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")
    process.stdout.write(`  ${line.trimEnd()}\n`)
  }
}
