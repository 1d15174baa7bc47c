/** One pass of the sweep over idle sessions, and over a mix of idle, running and due ones, beside the naive sweep. */
import { Effect } from "effect"
import * as path from "node:path"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, messages, onHost, untilStarted } from "./Host.ts"
import { type Bench, medians, type Row, shown, stalls, type Stalls, timed, upTo } from "./Measure.ts"
import { naiveSweep } from "./NaiveSweep.ts"

const ROUNDS = 7

const ofRounds = <A, E, R>(round: Effect.Effect<A, E, R>, count = ROUNDS) =>
  Effect.map(
    Effect.forEach(upTo(count), () => stalls(round)),
    medians,
  )

/** One after another on the same host: all idle, then with a tenth running and a hundredth newly due in each round. */
const ours = (sessions: number) =>
  onHost(
    Effect.fnUntraced(function* (host) {
      const { pass } = yield* Sweep
      const started = (wanted: number) =>
        Effect.andThen(untilStarted(host, wanted, Effect.andThen(pass, Effect.sleep(5))), pass)
      yield* addSessions(sessions)
      yield* pass
      const idle = yield* ofRounds(pass)
      const running = sessions / 10
      const due = sessions / 100
      yield* messages(0, running, Date.now())
      yield* started(running)
      const resting = yield* ofRounds(pass)
      const mixed: Array<Stalls> = []
      for (let n = 0; n < ROUNDS; n++) {
        yield* messages(running + n * due, due, Date.now())
        mixed.push(yield* stalls(pass))
        yield* started(running + (n + 1) * due)
      }
      return { idle, resting, mixed: medians(mixed) }
    }),
  )

/** It does the same work for an idle session as for any other, so that one figure stands for both. */
const naive = (sessions: number) =>
  onHost(({ dataDir }) => {
    const sweep = naiveSweep(path.join(dataDir, "naive"), sessions, sessions / 100)
    sweep()
    return ofRounds(Effect.sync(sweep), sessions > 1_000 ? 1 : 3)
  })

const rowsOf = (
  what: string,
  figures: Stalls,
  baseline: Stalls,
  limits: Partial<Stalls>,
): ReadonlyArray<Row> => [
  timed(`${what}: pass`, figures.tookMs, limits.tookMs, { under: ["naive", baseline.tookMs] }),
  timed(`${what}: longest stall`, figures.stallMs, limits.stallMs, { under: ["naive", baseline.stallMs] }),
]

export const sweepBench: Bench = {
  name: "sweep",
  about:
    "one pass; idle: all sessions sleep; mixed: 10 % run and 1 % have just come due. Naive: opens every session's databases",
  run: async (size) => {
    // The same look at the event loop where nothing runs: what of a stall is the machine's own.
    const control = await onHost(() => ofRounds(Effect.sleep(10)))
    const rows: Array<Row> = [timed("control, nothing runs: longest stall", control.stallMs)]
    for (const sessions of size === "smoke" ? [100] : [100, 1_000, 10_000]) {
      const baseline = await naive(sessions)
      const { idle, mixed, resting } = await ours(sessions)
      const largest = sessions === 10_000
      const what = shown(sessions)
      rows.push(
        ...rowsOf(`${what} idle`, idle, baseline, largest ? { tookMs: 1, stallMs: 5 } : {}),
        timed(
          `${what}: one running session that nothing happened to`,
          (resting.tookMs - idle.tookMs) / (sessions / 10),
          largest ? 0.02 : undefined,
        ),
        ...rowsOf(`${what} mixed`, mixed, baseline, largest ? { tookMs: 30, stallMs: 5 } : {}),
      )
    }
    return rows
  },
}
