/** The host's part of one wake: ledger, folders, pair, projection; everything but the container's own start. */
import { Effect } from "effect"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, message, onHost, sessionId } from "./Host.ts"
import { atMost, type Bench, elapsed, longestStall, median, ms, percentile, until } from "./Measure.ts"

const oneByOne = (count: number) => {
  const seen = { started: 0 }
  return onHost(
    () =>
      Effect.gen(function* () {
        const sweep = yield* Sweep
        yield* addSessions(count)
        const taken: Array<{ readonly value: number; readonly stallMs: number }> = []
        for (let n = 0; n < count; n++) {
          yield* message(n, Date.now())
          const started = Effect.gen(function* () {
            yield* sweep.wake(sessionId(n))
            yield* until("its container started", () => seen.started > n, Effect.yieldNow)
          })
          taken.push(yield* longestStall(elapsed(started)))
        }
        return {
          wakes: taken.map(({ value }) => value),
          stalls: taken.map(({ stallMs }) => stallMs),
        }
      }),
    () => void seen.started++,
  )
}

const atOnce = (count: number) => {
  const seen = { started: 0 }
  return onHost(
    () =>
      Effect.gen(function* () {
        const sweep = yield* Sweep
        yield* addSessions(count)
        yield* Effect.forEach(
          Array.from({ length: count }, (_, n) => n),
          (n) => message(n, Date.now()),
          { concurrency: 100, discard: true },
        )
        const all = Effect.gen(function* () {
          for (let n = 0; n < count; n++) yield* sweep.wake(sessionId(n))
          yield* until("all containers started", () => seen.started >= count, Effect.yieldNow)
        })
        return yield* elapsed(all)
      }),
    () => void seen.started++,
  )
}

export const startBench: Bench = {
  name: "start",
  about: "host part of one wake, container start excluded",
  run: async (size) => {
    const count = size === "smoke" ? 10 : 100
    const { stalls, wakes } = await oneByOne(count)
    const together = (await atOnce(count)) / count
    return [
      { what: "one by one, p50", ours: ms(median(wakes)), target: atMost(5, median(wakes)) },
      { what: "one by one, p99", ours: ms(percentile(wakes, 0.99)) },
      { what: "longest stall of one, p50", ours: ms(median(stalls)) },
      { what: `${count} at once, each`, ours: ms(together), target: atMost(5, together) },
    ]
  },
}
