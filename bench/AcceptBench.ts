/** Durable accepts: one after another, and in bursts of a hundred, with few and with many sessions. */
import { Effect } from "effect"
import { addSessions, dataDirectory, hostLayer, makeNudges, message } from "./Host.ts"
import { type Bench, median, perSecond, type Row, target, timed } from "./Measure.ts"

const BURST = 100

const measure = (sessions: number, singles: number, bursts: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    const nudges = yield* makeNudges
    return yield* Effect.gen(function* () {
      yield* addSessions(sessions)
      const dueAt = Date.now() + 3_600_000
      const services = yield* Effect.context<Effect.Services<ReturnType<typeof message>>>()
      let next = 0
      const one = Effect.suspend(() => message(next++ % sessions, dueAt))
      const single: Array<number> = []
      const burst: Array<number> = []
      for (let round = 0; round < 5; round++) {
        single.push(
          yield* Effect.promise(() =>
            timed(() =>
              Effect.runPromiseWith(services)(
                Effect.forEach(Array.from({ length: singles }), () => one, { discard: true }),
              ),
            ),
          ),
        )
        burst.push(
          yield* Effect.promise(() =>
            timed(() =>
              Effect.runPromiseWith(services)(
                Effect.forEach(
                  Array.from({ length: bursts }),
                  () =>
                    Effect.forEach(Array.from({ length: BURST }), () => one, {
                      concurrency: BURST,
                      discard: true,
                    }),
                  { discard: true },
                ),
              ),
            ),
          ),
        )
      }
      return { single: median(single), burst: median(burst), rounds: burst }
    }).pipe(Effect.provide(hostLayer({ dataDir, nudges })))
  }).pipe(Effect.scoped)

export const acceptBench: Bench = {
  name: "accept",
  about: "accepts that are durable before they return (WAL, synchronous=FULL), median of five rounds",
  run: async (size) => {
    const [singles, bursts] = size === "smoke" ? [50, 2] : [1_000, 40]
    const rows: Array<Row> = []
    for (const sessions of size === "smoke" ? [10] : [10, 1_000, 10_000]) {
      const taken = await Effect.runPromise(measure(sessions, singles, bursts))
      const each = (singles / taken.single) * 1000
      const together = ((bursts * BURST) / taken.burst) * 1000
      rows.push({
        what: `${sessions} sessions, one by one`,
        figure: perSecond(singles, taken.single),
        target: target("≥ 3,750/s", each >= 3_750),
      })
      rows.push({
        what: `${sessions} sessions, bursts of ${BURST}`,
        figure: perSecond(bursts * BURST, taken.burst),
        beside: `rounds: ${taken.rounds.map((round) => perSecond(bursts * BURST, round)).join(", ")}`,
        target: target("≥ 25,000/s", together >= 25_000),
      })
    }
    return rows
  },
}
