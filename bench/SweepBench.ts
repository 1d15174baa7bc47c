/** One pass of the sweep over idle sessions, and over a mix of idle, running and due ones, beside the naive sweep. */
import { Effect } from "effect"
import * as path from "node:path"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, messages, onHost, upTo } from "./Host.ts"
import { type Bench, elapsed, longestStall, median, type Row, timed, until } from "./Measure.ts"
import { naiveHost } from "./NaiveSweep.ts"

const ROUNDS = 7

interface Figures {
  readonly passMs: number
  /** The median of the rounds' longest ones: a single round may catch the machine at something else. */
  readonly stallMs: number
}

const medians = (taken: ReadonlyArray<{ readonly value: number; readonly stallMs: number }>): Figures => ({
  passMs: median(taken.map(({ value }) => value)),
  stallMs: median(taken.map(({ stallMs }) => stallMs)),
})

/** One after another on the same host: all idle, then with a tenth running and a hundredth newly due in each round. */
const ours = (sessions: number) =>
  onHost(({ started }) =>
    Effect.gen(function* () {
      const sweep = yield* Sweep
      const again = Effect.andThen(sweep.pass, Effect.sleep(5))
      const untilStarted = (wanted: number) =>
        until(`${wanted} containers started`, () => started.size >= wanted, again)
      const round = longestStall(elapsed(sweep.pass))
      yield* addSessions(sessions)
      yield* sweep.pass
      const idle = yield* Effect.forEach(upTo(ROUNDS), () => round)
      const running = sessions / 10
      const due = sessions / 100
      yield* messages(0, running, Date.now())
      yield* untilStarted(running)
      yield* sweep.pass
      const resting = yield* Effect.forEach(upTo(ROUNDS), () => round)
      const mixed: Array<{ readonly value: number; readonly stallMs: number }> = []
      for (let n = 0; n < ROUNDS; n++) {
        yield* messages(running + n * due, due, Date.now())
        mixed.push(yield* round)
        yield* untilStarted(running + (n + 1) * due)
        yield* sweep.pass
      }
      return { idle: medians(idle), resting: medians(resting), mixed: medians(mixed) }
    }),
  )

/** It does the same work for an idle session as for any other, so that one figure stands for both. */
const naive = (sessions: number) =>
  onHost(({ dataDir }) =>
    Effect.gen(function* () {
      const host = naiveHost(path.join(dataDir, "naive"), sessions, sessions / 100)
      const pass = longestStall(elapsed(Effect.sync(host.sweep)))
      yield* Effect.sync(host.sweep)
      const taken = yield* Effect.forEach(upTo(sessions > 1_000 ? 1 : 3), () => pass)
      return medians(taken)
    }),
  )

/** The same look at the event loop where nothing runs: what of a stall is the machine's own. */
const control = async () => {
  const taken = await onHost(() =>
    Effect.forEach(upTo(ROUNDS), () => longestStall(elapsed(Effect.sleep(10)))),
  )
  return medians(taken).stallMs
}

const rowsOf = (
  what: string,
  figures: Figures,
  baseline: Figures,
  limits?: { readonly passMs: number; readonly stallMs: number },
): ReadonlyArray<Row> => [
  timed(`${what}: pass`, figures.passMs, limits?.passMs, { under: ["naive", baseline.passMs] }),
  timed(`${what}: longest stall`, figures.stallMs, limits?.stallMs, { under: ["naive", baseline.stallMs] }),
]

export const sweepBench: Bench = {
  name: "sweep",
  about:
    "one pass; idle: all sessions sleep; mixed: 10 % run and 1 % have just come due. Naive: opens every session's databases",
  run: async (size) => {
    const rows: Array<Row> = [timed("control, nothing runs: longest stall", await control())]
    for (const sessions of size === "smoke" ? [100] : [100, 1_000, 10_000]) {
      const baseline = await naive(sessions)
      const { idle, mixed, resting } = await ours(sessions)
      const largest = sessions === 10_000
      const shown = sessions.toLocaleString("en")
      rows.push(
        ...rowsOf(`${shown} idle`, idle, baseline, largest ? { passMs: 1, stallMs: 5 } : undefined),
        timed(
          `${shown}: one running session that nothing happened to`,
          (resting.passMs - idle.passMs) / (sessions / 10),
          largest ? 0.02 : undefined,
        ),
        ...rowsOf(`${shown} mixed`, mixed, baseline, largest ? { passMs: 30, stallMs: 5 } : undefined),
      )
    }
    return rows
  },
}
