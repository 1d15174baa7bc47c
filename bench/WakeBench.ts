/** From the instant at which a message is due to the start of its container, with the daemon's own loops and armed timer. */
import { Effect, Fiber } from "effect"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, forEach, message, onHost, sessionId, upTo } from "./Host.ts"
import { type Bench, median, percentile, timed, until } from "./Measure.ts"

/** Between two messages: far enough apart that none waits for another. */
const APART_MS = 25
const HEAD_START_MS = 300
const TICK_MS = 60_000

/** How late each of `count` messages was woken for, among `sessions` sessions of which the others sleep. */
const lateness = (count: number, sessions: number) =>
  onHost(({ nudges, started }) =>
    Effect.gen(function* () {
      yield* addSessions(sessions)
      const daemon = yield* startDaemon(nudges)
      const first = Date.now() + HEAD_START_MS
      const due = upTo(count).map((n) => first + n * APART_MS)
      yield* forEach(due, (dueAt, n) => message(n, dueAt))
      yield* nudges.look.ring
      yield* until("every container started", () => started.size >= count, Effect.sleep(20))
      yield* Fiber.interrupt(daemon)
      return due.map((dueAt, n) => (started.get(sessionId(n)) ?? Number.NaN) - dueAt)
    }),
  )

export const wakeBench: Bench = {
  name: "wake",
  about:
    "due → its container is started, engine excluded. A tick of 60 s is computed, not run: due times fall anywhere in it",
  run: async (size) => {
    const [count, sessions] = size === "smoke" ? [20, 50] : [200, 10_000]
    const late = await lateness(count, sessions)
    const row = (name: string, share: number, value: number, limitMs?: number) =>
      timed(`${count} wakes among ${sessions.toLocaleString("en")} sessions, ${name}`, value, limitMs, {
        under: ["tick", TICK_MS * share],
      })
    return [row("p50", 0.5, median(late)), row("p99", 0.99, percentile(late, 0.99), 50)]
  },
}
