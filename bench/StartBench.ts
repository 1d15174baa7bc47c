/** The host's part of one wake: ledger, folders, pair, projection; everything but the container's own start. */
import { Effect } from "effect"
import { Sweep } from "../src/services/Sweep.ts"
import { addSessions, message, messages, onHost, sessionId, untilStarted } from "./Host.ts"
import { type Bench, elapsed, medians, percentile, stalls, timed, upTo } from "./Measure.ts"

const wake = (n: number) => Sweep.use((sweep) => sweep.wake(sessionId(n)))

const oneByOne = (count: number) =>
  onHost(
    Effect.fnUntraced(function* (host) {
      yield* addSessions(count)
      return yield* Effect.forEach(upTo(count), (n) =>
        Effect.andThen(
          message(n, Date.now()),
          stalls(Effect.andThen(wake(n), untilStarted(host, n + 1, Effect.yieldNow))),
        ),
      )
    }),
  )

const atOnce = (count: number) =>
  onHost(
    Effect.fnUntraced(function* (host) {
      yield* addSessions(count)
      yield* messages(0, count, Date.now())
      const wakes = Effect.forEach(upTo(count), wake, { discard: true })
      return yield* elapsed(Effect.andThen(wakes, untilStarted(host, count, Effect.yieldNow)))
    }),
  )

export const startBench: Bench = {
  name: "start",
  about: "host part of one wake, container start excluded",
  run: async (size) => {
    const count = size === "smoke" ? 10 : 100
    const taken = await oneByOne(count)
    const { stallMs, tookMs } = medians(taken)
    const wakes = taken.map((one) => one.tookMs)
    return [
      timed("one by one, p50", tookMs, 5),
      timed("one by one, p99", percentile(wakes, 0.99)),
      timed("longest stall of one, p50", stallMs),
      timed(`${count} at once, each`, (await atOnce(count)) / count),
    ]
  },
}
