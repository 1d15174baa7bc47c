/** Durable accepts: one after another and in bursts of a hundred, with few and with many sessions, and with a full channel ahead. */
import Database from "better-sqlite3"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { pendingDelivery } from "../src/domain/Delivery.ts"
import { DeliveryId, OutboundId } from "../src/domain/Ids.ts"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { Operations } from "../src/services/Operations.ts"
import { addSessions, dataDirectory, message, onHost, sessionId } from "./Host.ts"
import { atLeast, type Bench, median, perSecond, rounds, type Row, stopwatch } from "./Measure.ts"

const BURST = 100
const ROUNDS = 5
/** About what an accepted message takes in the ledger. */
const CONTROL_BYTES = 300

interface Amounts {
  readonly singles: number
  readonly bursts: number
}

/** What one after another and what in bursts took, in ms; medians. */
interface Taken {
  readonly singleMs: number
  readonly burstMs: number
}

/** What the disk and SQLite give today: the same numbers of the plainest rows, a commit for each and a commit for a hundred. */
const control = ({ bursts, singles }: Amounts): Promise<Taken> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const database = new Database(path.join(yield* dataDirectory, "control.db"))
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
      database.pragma("journal_mode = WAL")
      database.pragma("synchronous = FULL")
      database.exec("CREATE TABLE plain (id INTEGER PRIMARY KEY, content TEXT)")
      const insert = database.prepare("INSERT INTO plain (content) VALUES (?)")
      const content = "x".repeat(CONTROL_BYTES)
      const burst = database.transaction(() => {
        for (let n = 0; n < BURST; n++) insert.run(content)
      })
      const round = (count: number, work: () => void) =>
        rounds(ROUNDS, () =>
          Effect.sync(() => {
            for (let n = 0; n < count; n++) work()
          }),
        )
      const single = yield* round(singles, () => void insert.run(content))
      return { singleMs: median(single), burstMs: median(yield* round(bursts, burst)) }
    }).pipe(Effect.scoped),
  )

const FAR_MS = 3_600_000

/** Rounds of singles and rounds of bursts by turns, so that both see the ledger grow alike. */
const alternate = <E, R>({ bursts, singles }: Amounts, one: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const single: Array<number> = []
    const burst: Array<number> = []
    const together = Effect.all(
      Array.from({ length: BURST }, () => one),
      { concurrency: BURST, discard: true },
    )
    for (let round = 0; round < ROUNDS; round++) {
      const readSingle = stopwatch()
      for (let n = 0; n < singles; n++) yield* one
      single.push(readSingle())
      const readBurst = stopwatch()
      for (let n = 0; n < bursts; n++) yield* together
      burst.push(readBurst())
    }
    return { singleMs: median(single), burstMs: median(burst) } satisfies Taken
  })

const bySessions = (sessions: number, amounts: Amounts): Promise<Taken> =>
  onHost(() =>
    Effect.gen(function* () {
      yield* addSessions(sessions)
      const dueAt = Date.now() + FAR_MS
      let next = 0
      return yield* alternate(
        amounts,
        Effect.suspend(() => message(next++ % sessions, dueAt)),
      )
    }),
  )

/** The whole way of a `send`: content checked, command gate, ledger. */
const bySending = (amounts: Amounts): Promise<Taken> =>
  onHost(() =>
    Effect.gen(function* () {
      yield* addSessions(100)
      const operations = yield* Operations
      const dueAt = Date.now() + FAR_MS
      let next = 0
      return yield* alternate(
        amounts,
        Effect.suspend(() =>
          operations.send({
            sessionId: sessionId(next++ % 100),
            kind: "chat",
            content: { text: "hello" },
            dueAt,
          }),
        ),
      )
    }),
  )

const WAITING = 10_000

/** So many deliveries wait in the channel of every session: each accept has to find out that there is room. */
const nearlyFull = (amounts: Amounts): Promise<Taken> =>
  onHost(() =>
    Effect.gen(function* () {
      yield* addSessions(100)
      const driver = yield* LedgerDriver
      yield* driver.transaction((tx) => {
        for (let n = 1; n < WAITING; n++) {
          tx.putDelivery(
            pendingDelivery({
              id: DeliveryId.make(`waiting${n}`),
              sessionId: sessionId(0),
              outboundId: OutboundId.make(`waiting${n}`),
              incarnation: 1,
              position: 0,
              seq: n * 2 + 1,
              inReplyTo: null,
              answers: [],
              hops: 0,
              kind: "chat",
              channelType: "stdout",
              platformId: null,
              threadId: null,
              content: `{"text":"hello"}`,
              lane: "waiting",
              nextAttemptAt: null,
              deliverAfter: null,
              platformMessageId: null,
              revision: 1,
              createdAt: 0,
              endedAt: null,
            }),
          )
        }
        return Result.succeed(undefined)
      })
      const dueAt = Date.now() + FAR_MS
      let next = 0
      return yield* alternate(
        amounts,
        Effect.suspend(() => message(next++ % 100, dueAt)),
      )
    }),
  )

const rowsOf = (what: string, taken: Taken, limit: Taken, { bursts, singles }: Amounts): Array<Row> => [
  {
    what: `${what}, one by one`,
    ours: perSecond(singles, taken.singleMs),
    beside: `SQLite alone ${perSecond(singles, limit.singleMs)}`,
    ratio: `${Math.round((limit.singleMs / taken.singleMs) * 100)} % of it`,
    target: atLeast(3_750, singles, taken.singleMs),
  },
  {
    what: `${what}, bursts of ${BURST}`,
    ours: perSecond(bursts * BURST, taken.burstMs),
    beside: `SQLite alone ${perSecond(bursts * BURST, limit.burstMs)}`,
    ratio: `${Math.round((limit.burstMs / taken.burstMs) * 100)} % of it`,
    target: atLeast(25_000, bursts * BURST, taken.burstMs),
  },
]

export const acceptBench: Bench = {
  name: "accept",
  about: "accepts that are durable before they return (WAL, synchronous=FULL), median of five rounds",
  run: async (size) => {
    const amounts = size === "smoke" ? { singles: 50, bursts: 2 } : { singles: 500, bursts: 30 }
    const limit = await control(amounts)
    const rows: Array<Row> = []
    for (const sessions of size === "smoke" ? [1, 10] : [1, 100, 1_000, 10_000]) {
      const what = `${sessions.toLocaleString("en")} sessions`
      rows.push(...rowsOf(what, await bySessions(sessions, amounts), limit, amounts))
    }
    rows.push(...rowsOf("Operations.send", await bySending(amounts), limit, amounts))
    if (size === "full") {
      rows.push(
        ...rowsOf("10,000 deliveries waiting in its channel", await nearlyFull(amounts), limit, amounts),
      )
    }
    return rows
  },
}
