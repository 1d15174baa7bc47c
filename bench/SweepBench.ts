/** One pass of the sweep over idle sessions, and over a mix of idle, running and due ones, beside the naive sweep. */
import { Effect } from "effect"
import * as path from "node:path"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, dataDirectory, hostLayer, makeNudges, message } from "./Host.ts"
import { type Bench, median, ms, type Row, stallOf, target, timed } from "./Measure.ts"
import { naiveHost } from "./NaiveSweep.ts"

const ROUNDS = 5

const measure = (sessions: number, running: number, due: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    const nudges = yield* makeNudges
    const seen = { started: 0 }
    return yield* Effect.gen(function* () {
      const sweep = yield* Sweep
      yield* addSessions(sessions)
      const now = Date.now()
      yield* Effect.forEach(
        Array.from({ length: running }, (_, n) => n),
        (n) => message(n, now),
        { concurrency: 100, discard: true },
      )
      while (seen.started < running) {
        yield* sweep.pass
        yield* Effect.sleep(5)
      }
      yield* sweep.pass
      const rounds: Array<number> = []
      let stallMs = 0
      for (let round = 0; round < ROUNDS; round++) {
        const first = running + round * due
        const soon = Date.now()
        yield* Effect.forEach(
          Array.from({ length: due }, (_, n) => first + n),
          (n) => message(n, soon),
          { concurrency: 100, discard: true },
        )
        const taken = yield* Effect.promise(() => stallOf(() => timed(() => Effect.runPromise(sweep.pass))))
        rounds.push(taken.value)
        stallMs = Math.max(stallMs, taken.stallMs)
        const wanted = running + (round + 1) * due
        while (seen.started < wanted) {
          yield* Effect.sleep(5)
          yield* sweep.pass
        }
      }
      const naive = naiveHost(path.join(dataDir, "naive"), sessions, due)
      naive.sweep()
      const naiveRounds: Array<number> = []
      for (let round = 0; round < (sessions > 1_000 ? 1 : 3); round++) {
        naiveRounds.push(yield* Effect.promise(() => timed(() => naive.sweep())))
      }
      return { passMs: median(rounds), stallMs, naiveMs: median(naiveRounds) }
    }).pipe(Effect.provide(hostLayer({ dataDir, nudges, onStart: () => void seen.started++ })))
  }).pipe(Effect.scoped)

export const sweepBench: Bench = {
  name: "sweep",
  about:
    "one pass: idle sessions only; then 10 % running, 1 % newly due. Longest stall of the event loop beside it",
  run: async (size) => {
    const control = await stallOf(() => new Promise((resolve) => setTimeout(resolve, 100)))
    const rows: Array<Row> = [
      { what: "nothing at all, 100 ms", figure: "", beside: `stall ${ms(control.stallMs)} (control)` },
    ]
    for (const sessions of size === "smoke" ? [100] : [100, 1_000, 10_000]) {
      const idle = await Effect.runPromise(measure(sessions, 0, 0))
      rows.push({
        what: `${sessions} idle`,
        figure: ms(idle.passMs),
        beside: `stall ${ms(idle.stallMs)}; naive ${ms(idle.naiveMs)}, ${Math.round(idle.naiveMs / idle.passMs)} times as long`,
        ...(sessions === 10_000 ? { target: target("≤ 50 ms", idle.passMs <= 50) } : {}),
      })
      const mixed = await Effect.runPromise(measure(sessions, sessions / 10, sessions / 100))
      rows.push({
        what: `${sessions} mixed`,
        figure: ms(mixed.passMs),
        beside: `stall ${ms(mixed.stallMs)}; naive ${ms(mixed.naiveMs)}, ${Math.round(mixed.naiveMs / mixed.passMs)} times as long`,
        ...(sessions === 10_000
          ? { target: target("≤ 15 ms, stall ≤ 5 ms", mixed.passMs <= 15 && mixed.stallMs <= 5) }
          : {}),
      })
    }
    return rows
  },
}
