/**
 * The process that `SeriesBench.ts` measures. `fill <count>` makes the ledger; `run <slots> <idle ms> <burst>` opens it as the daemon
 * does, waits with nothing due, lets slots of new series come due one after another, then many of them in one instant, and prints
 * its figures as JSON in the last line.
 */
import { Effect, Fiber, Result } from "effect"
import { SeriesId } from "../src/domain/Ids.ts"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { amendedSeries } from "../src/domain/SeriesTransition.ts"
import { type NewSeries } from "../src/services/ledger/SeriesTransitions.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, forEach, type Host, hostLayer, runOn, sessionId, upTo } from "./Host.ts"
import { rounds, stopwatch, until } from "./Measure.ts"
import type { SeriesFigures } from "./SeriesBench.ts"

const SESSIONS = 10_000
const FILL_BATCH = 5_000
const DAY_MS = 86_400_000
/** Forty slots a second: what 100 000 series give that fire every 42 minutes. */
const APART_MS = 25
const HEAD_START_MS = 1_000
const WARM_UP = 10
const COMMITS = 100
const SETTLES_MS = 2_000

const wanted = (id: string, everyMs: number, anchor: number): NewSeries => ({
  id: SeriesId.make(id),
  name: null,
  prompt: "look around and report",
  script: null,
  schedule: { _tag: "Interval", everyMs, anchor },
  priority: 1,
  ttlMs: null,
  channelType: null,
  platformId: null,
  threadId: null,
})

/** The first is made as anybody makes one; the others are its copies, each with a next slot of its own, all of them far away. */
const fill = Effect.fnUntraced(function* (count: number) {
  const store = yield* SessionStore
  const driver = yield* LedgerDriver
  yield* addSessions(SESSIONS)
  if (count === 0) return
  const now = Date.now()
  const first = yield* store.createSeries(sessionId(0), wanted("first", DAY_MS, now + DAY_MS))
  for (let from = 1; from < count; from += FILL_BATCH) {
    yield* driver.transaction((tx) => {
      for (let n = from; n < Math.min(count, from + FILL_BATCH); n++) {
        const nextSlot = now + DAY_MS + n * 100
        tx.putSeries(
          amendedSeries(first, {
            id: SeriesId.make(`t${n}`),
            sessionId: sessionId(n % SESSIONS),
            seq: seqOf(n),
            schedule: { _tag: "Interval", everyMs: DAY_MS, anchor: nextSlot },
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

const run = Effect.fnUntraced(function* (
  slots: number,
  idleMs: number,
  burst: number,
  read: () => number,
  { nudges, started }: Host,
) {
  const store = yield* SessionStore
  const driver = yield* LedgerDriver
  const sweep = yield* Sweep
  yield* sweep.recover
  yield* sweep.pass
  const startMs = read()
  const { rss } = process.memoryUsage()
  const daemon = yield* startDaemon(nudges)
  const fireAt = Effect.fnUntraced(function* (name: string, from: number, due: ReadonlyArray<number>) {
    yield* forEach(due, (slot, n) =>
      store.createSeries(sessionId(from + n), wanted(`${name}${n}`, DAY_MS, slot)),
    )
    yield* nudges.look.ring
    yield* until("every slot's container started", () => started.size >= from + due.length, Effect.sleep(20))
    return due.map((slot, n) => (started.get(sessionId(from + n)) ?? Number.NaN) - slot)
  })
  // What is started when it is first needed, such as the processes that read containers' files, has been by now on a host that runs.
  yield* fireAt(
    "first",
    0,
    upTo(WARM_UP).map(() => Date.now() + HEAD_START_MS),
  )
  yield* Effect.sleep(SETTLES_MS)
  const before = process.cpuUsage()
  const idle = stopwatch()
  yield* Effect.sleep(idleMs)
  const { system, user } = process.cpuUsage(before)
  const idledMs = idle()
  const first = Date.now() + HEAD_START_MS
  const lateMs = yield* fireAt(
    "due",
    WARM_UP,
    upTo(slots).map((n) => first + n * APART_MS),
  )
  yield* Fiber.interrupt(daemon)
  const commitMs = yield* rounds(COMMITS, (n) =>
    driver.transaction((tx) => Result.succeed(tx.putMeta("bench", `${n}`))),
  )
  const burstMs = yield* burstOf(burst)
  return {
    startMs,
    rss,
    idleMs: idledMs,
    idleCpuMs: (user + system) / 1_000,
    burstMs,
    commitMs,
    lateMs,
  } satisfies SeriesFigures
})

/** Everybody's nine o'clock. */
const burstOf = Effect.fnUntraced(function* (count: number) {
  const store = yield* SessionStore
  const driver = yield* LedgerDriver
  const now = Date.now()
  const daily = {
    ...wanted("daily", DAY_MS, now),
    schedule: { _tag: "Cron", expression: "0 9 * * *", zone: "Europe/Paris" },
  } as const
  const first = yield* store.createSeries(sessionId(0), daily)
  yield* driver.transaction((tx) => {
    for (let n = 0; n < count; n++) {
      const home = sessionId(n % SESSIONS)
      tx.putSeries(
        amendedSeries(first, {
          id: SeriesId.make(`daily${n}`),
          sessionId: home,
          seq: 1_000_000 + 2 * n,
          nextSlot: now,
        }),
      )
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
const figures = await Effect.runPromise(
  Effect.scoped(
    what === "fill"
      ? runOn(dataDir, hostLayer, () => fill(first))
      : runOn(dataDir, hostLayer, (host) => run(first, second, third, read, host)),
  ),
)
process.stdout.write(`\n${JSON.stringify(figures ?? null)}\n`)
