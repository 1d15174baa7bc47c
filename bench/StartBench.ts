/** The host's part of one wake: ledger, folders, pair, projection; everything but the container's own start. */
import { Effect } from "effect"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, message, messages, onHost, sessionId } from "./Host.ts"
import { type Bench, elapsed, longestStall, median, percentile, timed, until } from "./Measure.ts"

const oneByOne = (count: number) =>
  onHost(({ started }) =>
    Effect.gen(function* () {
      const sweep = yield* Sweep
      yield* addSessions(count)
      const taken: Array<{ readonly value: number; readonly stallMs: number }> = []
      for (let n = 0; n < count; n++) {
        yield* message(n, Date.now())
        const wake = Effect.gen(function* () {
          yield* sweep.wake(sessionId(n))
          yield* until("its container started", () => started.size > n, Effect.yieldNow)
        })
        taken.push(yield* longestStall(elapsed(wake)))
      }
      return {
        wakes: taken.map(({ value }) => value),
        stalls: taken.map(({ stallMs }) => stallMs),
      }
    }),
  )

const atOnce = (count: number) =>
  onHost(({ started }) =>
    Effect.gen(function* () {
      const sweep = yield* Sweep
      yield* addSessions(count)
      yield* messages(0, count, Date.now())
      const all = Effect.gen(function* () {
        for (let n = 0; n < count; n++) yield* sweep.wake(sessionId(n))
        yield* until("all containers started", () => started.size >= count, Effect.yieldNow)
      })
      return yield* elapsed(all)
    }),
  )

export const startBench: Bench = {
  name: "start",
  about: "host part of one wake, container start excluded",
  run: async (size) => {
    const count = size === "smoke" ? 10 : 100
    const { stalls, wakes } = await oneByOne(count)
    const together = (await atOnce(count)) / count
    return [
      timed("one by one, p50", median(wakes), 5),
      timed("one by one, p99", percentile(wakes, 0.99)),
      timed("longest stall of one, p50", median(stalls)),
      timed(`${count} at once, each`, together, 5),
    ]
  },
}
