/** From the instant at which a message is due to the start of its container, with the daemon's own loops and armed timer. */
import { Effect, Fiber } from "effect"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, APART_MS, forEach, lateness, message, onHost } from "./Host.ts"
import { type Bench, median, percentile, shown, timed, upTo } from "./Measure.ts"

const HEAD_START_MS = 300
const TICK_MS = 60_000

/** How late each of `count` messages was woken for, among `sessions` sessions of which the others sleep. */
const late = (count: number, sessions: number) =>
  onHost(
    Effect.fnUntraced(function* (host) {
      yield* addSessions(sessions)
      const daemon = yield* startDaemon(host.nudges)
      const first = Date.now() + HEAD_START_MS
      const due = upTo(count).map((n) => first + n * APART_MS)
      yield* forEach(due, (dueAt, n) => message(n, dueAt))
      return yield* Effect.tap(lateness(host, 0, due), Fiber.interrupt(daemon))
    }),
  )

export const wakeBench: Bench = {
  name: "wake",
  about:
    "due → its container is started, engine excluded. A tick of 60 s is computed, not run: due times fall anywhere in it",
  run: async (size) => {
    const [count, sessions] = size === "smoke" ? [20, 50] : [200, 10_000]
    const taken = await late(count, sessions)
    const row = (name: string, share: number, value: number, limitMs?: number) =>
      timed(`${count} wakes among ${shown(sessions)} sessions, ${name}`, value, limitMs, {
        under: ["tick", TICK_MS * share],
      })
    return [row("p50", 0.5, median(taken)), row("p99", 0.99, percentile(taken, 0.99), 50)]
  },
}
