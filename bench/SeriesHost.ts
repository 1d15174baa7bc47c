/**
 * The process that `SeriesBench.ts` measures. `fill <count>` makes the ledger; `run <slots> <idle ms> <burst>` opens it as the daemon
 * does, waits with nothing due, lets slots of new series come due one after another, then many of them in one instant, and prints
 * its figures as JSON in the last line.
 */
import { Effect, Fiber, Result } from "effect"
import { SeriesId } from "../src/domain/Ids.ts"
import { amendedSeries, type Schedule } from "../src/domain/Series.ts"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, APART_MS, forEach, type Host, hostLayer, lateness, runOn, sessionId } from "./Host.ts"
import { elapsed, rounds, stopwatch, upTo } from "./Measure.ts"
import type { SeriesFigures } from "./SeriesBench.ts"

const SESSIONS = 10_000
const FILL_BATCH = 5_000
const DAY_MS = 86_400_000
const HEAD_START_MS = 1_000
const WARM_UP = 10
const COMMITS = 100
const SETTLES_MS = 2_000

const everyDay = (anchor: number): Schedule => ({ _tag: "Interval", everyMs: DAY_MS, anchor })

const createSeries = (session: number, id: string, schedule: Schedule) =>
  SessionStore.use((store) =>
    store.createSeries(sessionId(session), {
      id: SeriesId.make(id),
      name: null,
      prompt: "look around and report",
      script: null,
      schedule,
      priority: 1,
      ttlMs: null,
      channelType: null,
      platformId: null,
      threadId: null,
    }),
  )

/** The first is made as anybody makes one; the others are its copies, each with a next slot of its own, all of them far away. */
const fill = Effect.fnUntraced(function* (count: number) {
  const driver = yield* LedgerDriver
  yield* addSessions(SESSIONS)
  if (count === 0) return
  const now = Date.now()
  const first = yield* createSeries(0, "first", everyDay(now + DAY_MS))
  for (let from = 1; from < count; from += FILL_BATCH) {
    yield* driver.transaction((tx) => {
      for (let n = from; n < Math.min(count, from + FILL_BATCH); n++) {
        const nextSlot = now + DAY_MS + n * 100
        tx.putSeries(
          amendedSeries(first, {
            id: SeriesId.make(`t${n}`),
            sessionId: sessionId(n % SESSIONS),
            seq: seqOf(n),
            schedule: everyDay(nextSlot),
            nextSlot,
          }),
        )
      }
      return Result.succeed(undefined)
    })
  }
  yield* driver.transaction((tx) => {
    for (let n = 0; n < SESSIONS; n++) {
      const session = tx.session(sessionId(n))
      if (session !== undefined) tx.putSession({ ...session, hostSeq: seqOf(count) })
    }
    return Result.succeed(undefined)
  })
})

/** Sequence numbers are a session's own, and even. */
const seqOf = (n: number): number => 2 * (Math.floor(n / SESSIONS) + 1)

/** Lets series of sessions from `first` on come due one after another; how late each was. */
const fire = Effect.fnUntraced(function* (host: Host, first: number, count: number, apartMs: number) {
  const from = Date.now() + HEAD_START_MS
  const due = upTo(count).map((n) => from + n * apartMs)
  yield* forEach(due, (slot, n) => createSeries(first + n, `due${first + n}`, everyDay(slot)))
  return yield* lateness(host, first, due)
})

const run = Effect.fnUntraced(function* (
  slots: number,
  idleMs: number,
  burst: number,
  read: () => number,
  host: Host,
) {
  const driver = yield* LedgerDriver
  const sweep = yield* Sweep
  yield* sweep.recover
  yield* sweep.pass
  const startMs = read()
  const { rss } = process.memoryUsage()
  const daemon = yield* startDaemon(host.nudges)
  // What is started when it is first needed, such as the processes that read containers' files, has been by now on a host that runs.
  yield* fire(host, 0, WARM_UP, 0)
  yield* Effect.sleep(SETTLES_MS)
  const before = process.cpuUsage()
  const idledMs = yield* elapsed(Effect.sleep(idleMs))
  const { system, user } = process.cpuUsage(before)
  const lateMs = yield* fire(host, WARM_UP, slots, APART_MS)
  yield* Fiber.interrupt(daemon)
  const commitMs = yield* rounds(COMMITS, (n) =>
    driver.transaction((tx) => Result.succeed(tx.putMeta("bench", `${n}`))),
  )
  const idleCpuMs = (user + system) / 1_000
  const burstMs = yield* burstOf(burst)
  return { startMs, rss, idleMs: idledMs, idleCpuMs, burstMs, commitMs, lateMs } satisfies SeriesFigures
})

/** Everybody's nine o'clock. */
const burstOf = Effect.fnUntraced(function* (count: number) {
  const store = yield* SessionStore
  const driver = yield* LedgerDriver
  const nextSlot = Date.now()
  const first = yield* createSeries(0, "daily", {
    _tag: "Cron",
    expression: "0 9 * * *",
    zone: "Europe/Paris",
  })
  yield* driver.transaction((tx) => {
    for (let n = 0; n < count; n++) {
      const id = SeriesId.make(`daily${n}`)
      const home = sessionId(n % SESSIONS)
      tx.putSeries(amendedSeries(first, { id, sessionId: home, seq: 1_000_000 + 2 * n, nextSlot }))
    }
    return Result.succeed(undefined)
  })
  const read = stopwatch()
  while ((yield* store.fireSlots(32)) > 0);
  return read()
})

const [, , dataDir = "", what, ...amounts] = process.argv
const [first = 0, second = 0, third = 0] = amounts.map(Number)
const read = stopwatch()
const figures = await runOn(dataDir, hostLayer, (host) =>
  Effect.gen(function* () {
    return what === "fill" ? yield* fill(first) : yield* run(first, second, third, read, host)
  }),
).pipe(Effect.scoped, Effect.runPromise)
process.stdout.write(`\n${JSON.stringify(figures ?? null)}\n`)
