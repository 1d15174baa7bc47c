/** From the instant at which a message is due to the start of its container, with the daemon's own loops; and the host's part of a wake. */
import { Effect, Fiber } from "effect"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, dataDirectory, hostLayer, makeNudges, message } from "./Host.ts"
import { type Bench, median, ms, percentile, type Row, target, timed } from "./Measure.ts"

/** Messages that come due one after another, far enough apart that none waits for another. */
const lateness = (count: number, sessions: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    const nudges = yield* makeNudges
    const started = new Map<string, number>()
    return yield* Effect.gen(function* () {
      yield* addSessions(sessions)
      const daemon = yield* startDaemon(nudges)
      const first = Date.now() + 300
      const due = Array.from({ length: count }, (_, n) => first + n * 25)
      yield* Effect.forEach(due, (dueAt, n) => message(n, dueAt), { concurrency: 100, discard: true })
      yield* nudges.look.ring
      while (started.size < count) yield* Effect.sleep(20)
      yield* Fiber.interrupt(daemon)
      return due.map((dueAt, n) => Math.max(0, (started.get(`s${n}`) ?? Number.NaN) - dueAt))
    }).pipe(
      Effect.provide(
        hostLayer({
          dataDir,
          nudges,
          onStart: ({ labels }) =>
            void started.set(labels.session, performance.timeOrigin + performance.now()),
        }),
      ),
    )
  }).pipe(Effect.scoped)

const wakeCost = (count: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    const nudges = yield* makeNudges
    const seen = { started: 0 }
    return yield* Effect.gen(function* () {
      const sweep = yield* Sweep
      const services = yield* Effect.context<SessionStore>()
      yield* addSessions(count)
      const single: Array<number> = []
      for (let n = 0; n < count; n++) {
        yield* message(n, Date.now())
        single.push(
          yield* Effect.promise(() =>
            timed(() =>
              Effect.runPromiseWith(services)(
                Effect.gen(function* () {
                  yield* sweep.wake(`s${n}` as never)
                  while (seen.started <= n) yield* Effect.yieldNow
                }),
              ),
            ),
          ),
        )
      }
      return single
    }).pipe(Effect.provide(hostLayer({ dataDir, nudges, onStart: () => void seen.started++ })))
  }).pipe(Effect.scoped)

export const wakeBench: Bench = {
  name: "wake",
  about:
    "due → container started (engine excluded), armed timer; a tick of 60 s would be late by 30 s, and 59 s at p99",
  run: async (size) => {
    const [count, sessions] = size === "smoke" ? [20, 50] : [200, 10_000]
    const late = await Effect.runPromise(lateness(count, sessions))
    const cost = await Effect.runPromise(wakeCost(count))
    const p99 = percentile(late, 0.99)
    return [
      { what: `due → wake of ${count} among ${sessions} sessions, p50`, figure: ms(median(late)) },
      { what: "p99", figure: ms(p99), target: target("≤ 20 ms", p99 <= 20) },
      {
        what: "host part of one wake, p50",
        figure: ms(median(cost)),
        beside: `p99 ${ms(percentile(cost, 0.99))}`,
        target: target("< 5 ms", median(cost) < 5),
      },
    ] satisfies ReadonlyArray<Row>
  },
}
