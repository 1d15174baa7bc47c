/** Durable accepts: one after another and in bursts of a hundred, with few and with many sessions, and with a full channel ahead. */
import Database from "better-sqlite3"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { pendingDelivery } from "../src/domain/Delivery.ts"
import { DeliveryId, OutboundId } from "../src/domain/Ids.ts"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { Operations } from "../src/services/Operations.ts"
import { openLedgerFile } from "../src/layers/sqlite/LedgerFile.ts"
import { addSessions, dataDirectory, ledgerLayer, message, messages, onHost, sessionId } from "./Host.ts"
import { type Bench, median, perSecond, type Row, stopwatch } from "./Measure.ts"

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

/** Rounds of singles and rounds of bursts by turns, of work that is synchronous; medians. */
const bare = ({ bursts, singles }: Amounts, database: Database.Database, one: () => void): Taken => {
  const burst = database.transaction(() => {
    for (let n = 0; n < BURST; n++) one()
  })
  const alone = database.transaction(one)
  const singleMs: Array<number> = []
  const burstMs: Array<number> = []
  for (let round = 0; round < ROUNDS; round++) {
    const readSingle = stopwatch()
    for (let n = 0; n < singles; n++) alone()
    singleMs.push(readSingle())
    const readBurst = stopwatch()
    for (let n = 0; n < bursts; n++) burst()
    burstMs.push(readBurst())
  }
  return { singleMs: median(singleMs), burstMs: median(burstMs) }
}

/** What the disk and SQLite give today: the same numbers of the plainest rows, a commit for each and a commit for a hundred. */
const plainRows = (amounts: Amounts): Promise<Taken> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const database = new Database(path.join(yield* dataDirectory, "control.db"))
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
      database.pragma("journal_mode = WAL")
      database.pragma("synchronous = FULL")
      database.exec("CREATE TABLE plain (id INTEGER PRIMARY KEY, content TEXT)")
      const insert = database.prepare("INSERT INTO plain (content) VALUES (?)")
      const content = "x".repeat(CONTROL_BYTES)
      return bare(amounts, database, () => void insert.run(content))
    }).pipe(Effect.scoped),
  )

/** The rows that an accept writes, to the same tables of a real ledger, by two statements and nothing else. */
const sameRows = (amounts: Amounts, sessions: number): Promise<Taken> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const file = path.join(yield* dataDirectory, "lamplighter.db")
      yield* Effect.gen(function* () {
        yield* addSessions(sessions)
        yield* messages(0, 1, Date.now() + FAR_MS)
      }).pipe(Effect.provide(ledgerLayer(file)))
      const database = openLedgerFile({ path: file, mode: "read-write" })
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
      const [first] = database.prepare<[], Record<string, unknown>>("SELECT * FROM messages").all()
      const { position: _, ...row } = first ?? {}
      const columns = Object.keys(row)
      const insert = database.prepare(
        `INSERT INTO messages ("${columns.join('", "')}") VALUES (${columns.map(() => "?").join(", ")})`,
      )
      const update = database.prepare(
        "UPDATE sessions SET host_seq = host_seq + 2, revision = revision + 1, queued = queued + 1 WHERE id = ?",
      )
      const values = Object.values(row)
      const at = (name: string) => columns.indexOf(name)
      let next = 0
      return bare(amounts, database, () => {
        const session = sessionId(next % sessions)
        insert.run(
          values
            .with(at("id"), `c${next}`)
            .with(at("session_id"), session)
            .with(at("seq"), next * 2),
        )
        update.run(session)
        next += 1
      })
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

/** What is asked of a way in, as shares of the bare statements. */
interface Shares {
  readonly single: number
  readonly burst: number
}
const ACCEPT: Shares = { single: 0.75, burst: 0.6 }
const SEND: Shares = { single: 0.75, burst: 0.45 }

const besides = (
  what: string,
  count: number,
  ours: number,
  plain: number,
  same: number,
  share: number,
): Row => ({
  what,
  ours: perSecond(count, ours),
  beside: `same rows, bare ${perSecond(count, same)}; plain rows ${perSecond(count, plain)}`,
  ratio: `${Math.round((same / ours) * 100)} % and ${Math.round((plain / ours) * 100)} %`,
  target: {
    text: `≥ ${share * 100} % of the same rows`,
    verdict: same / ours >= share ? "meets" : "misses",
  },
})

const rowsOf = (
  what: string,
  taken: Taken,
  plain: Taken,
  same: Taken,
  { bursts, singles }: Amounts,
  shares: Shares,
): Array<Row> => [
  besides(`${what}, one by one`, singles, taken.singleMs, plain.singleMs, same.singleMs, shares.single),
  besides(
    `${what}, bursts of ${BURST}`,
    bursts * BURST,
    taken.burstMs,
    plain.burstMs,
    same.burstMs,
    shares.burst,
  ),
]

export const acceptBench: Bench = {
  name: "accept",
  about: "accepts that are durable before they return (WAL, synchronous=FULL), median of five rounds",
  run: async (size) => {
    const amounts = size === "smoke" ? { singles: 50, bursts: 2 } : { singles: 500, bursts: 30 }
    const plain = await plainRows(amounts)
    const rows: Array<Row> = []
    for (const sessions of size === "smoke" ? [1, 10] : [1, 100, 1_000, 10_000]) {
      const what = `${sessions.toLocaleString("en")} sessions`
      const taken = await bySessions(sessions, amounts)
      rows.push(...rowsOf(what, taken, plain, await sameRows(amounts, sessions), amounts, ACCEPT))
    }
    const same = await sameRows(amounts, 100)
    rows.push(...rowsOf("Operations.send", await bySending(amounts), plain, same, amounts, SEND))
    if (size === "full") {
      const crowded = await nearlyFull(amounts)
      rows.push(...rowsOf("10,000 deliveries waiting in its channel", crowded, plain, same, amounts, ACCEPT))
    }
    return rows
  },
}
