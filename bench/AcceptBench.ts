/** Durable accepts: one after another and in bursts of a hundred, with few and with many sessions, and with a full channel ahead. */
import Database from "better-sqlite3"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { Operations } from "../src/services/Operations.ts"
import { openLedgerFile } from "../src/layers/sqlite/LedgerFile.ts"
import {
  addSessions,
  dataDirectory,
  ledgerFile,
  ledgerLayer,
  message,
  messages,
  onHost,
  sessionId,
  upTo,
  waiting,
} from "./Host.ts"
import { type Bench, elapsed, median, perSecond, type Row } from "./Measure.ts"

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

/** Rounds of singles and rounds of bursts by turns, so that both see the ledger grow alike; medians. */
const byTurns = <E, R>(single: Effect.Effect<unknown, E, R>, burst: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const taken: Array<readonly [singleMs: number, burstMs: number]> = []
    for (let round = 0; round < ROUNDS; round++) taken.push([yield* elapsed(single), yield* elapsed(burst)])
    return {
      singleMs: median(taken.map(([singleMs]) => singleMs)),
      burstMs: median(taken.map(([, burstMs]) => burstMs)),
    } satisfies Taken
  })

/** Of work that is synchronous. */
const bare = ({ bursts, singles }: Amounts, database: Database.Database, one: () => void) => {
  const burst = database.transaction(() => {
    for (let n = 0; n < BURST; n++) one()
  })
  const alone = database.transaction(one)
  const times = (count: number, act: () => void) =>
    Effect.sync(() => {
      for (let n = 0; n < count; n++) act()
    })
  return byTurns(times(singles, alone), times(bursts, burst))
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
      return yield* bare(amounts, database, () => void insert.run(content))
    }).pipe(Effect.scoped),
  )

/** The rows that an accept writes, to the same tables of a real ledger, by two statements and nothing else. */
const sameRows = (amounts: Amounts, sessions: number): Promise<Taken> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      yield* Effect.gen(function* () {
        yield* addSessions(sessions)
        yield* messages(0, 1, Date.now() + FAR_MS)
      }).pipe(Effect.provide(ledgerLayer(dataDir)))
      const database = openLedgerFile({ path: ledgerFile(dataDir), mode: "read-write" })
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
      return yield* bare(amounts, database, () => {
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

/** Sessions take turns. Each message is due in the far future, so that nothing wakes. */
const accepting = <E, R>(
  { bursts, singles }: Amounts,
  sessions: number,
  accept: (session: number, dueAt: number) => Effect.Effect<unknown, E, R>,
) => {
  const dueAt = Date.now() + FAR_MS
  let next = 0
  const one = Effect.suspend(() => accept(next++ % sessions, dueAt))
  const together = Effect.all(
    upTo(BURST).map(() => one),
    { concurrency: BURST, discard: true },
  )
  const times = (count: number, work: Effect.Effect<unknown, E, R>) =>
    Effect.gen(function* () {
      for (let n = 0; n < count; n++) yield* work
    })
  return byTurns(times(singles, one), times(bursts, together))
}

const bySessions = (sessions: number, amounts: Amounts): Promise<Taken> =>
  onHost(() => Effect.andThen(addSessions(sessions), accepting(amounts, sessions, message)))

/** The whole way of a `send`: content checked, command gate, ledger. */
const bySending = (amounts: Amounts): Promise<Taken> =>
  onHost(() =>
    Effect.gen(function* () {
      yield* addSessions(100)
      const operations = yield* Operations
      const content = { text: "hello" }
      return yield* accepting(amounts, 100, (n, dueAt) =>
        operations.send({ sessionId: sessionId(n), kind: "chat", content, dueAt }),
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
        for (let n = 1; n < WAITING; n++) tx.putDelivery(waiting(n))
        return Result.succeed(undefined)
      })
      return yield* accepting(amounts, 100, message)
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
