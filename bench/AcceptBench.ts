/** Durable accepts: one after another and in bursts of a hundred, with few and with many sessions, and with a full channel ahead. */
import Database from "better-sqlite3"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { Operations } from "../src/services/Operations.ts"
import { openLedgerFile } from "../src/layers/sqlite/LedgerFile.ts"
import * as Host from "./Host.ts"
import { type Bench, elapsed, median, perSecond, type Row, shown, upTo } from "./Measure.ts"

const BURST = 100
const ROUNDS = 5
/** About what an accepted message takes in the ledger. */
const CONTROL_BYTES = 300
const FAR_MS = 3_600_000
const WAITING = 10_000

/** Of what goes in one by one, and of what goes in bursts. */
interface Both<A> {
  readonly singles: A
  readonly bursts: A
}

/** Rounds of singles and rounds of bursts by turns, so that both see the ledger grow alike; medians, in ms. */
const byTurns = <E, R>({ bursts, singles }: Both<Effect.Effect<unknown, E, R>>) =>
  Effect.map(
    Effect.forEach(upTo(ROUNDS), () => Effect.all([elapsed(singles), elapsed(bursts)])),
    (taken): Both<number> => ({
      singles: median(taken.map(([singleMs]) => singleMs)),
      bursts: median(taken.map(([, burstMs]) => burstMs)),
    }),
  )

/** Of work that is synchronous. */
const bare = ({ bursts, singles }: Both<number>, database: Database.Database, one: () => void) => {
  const burst = database.transaction(() => {
    for (let n = 0; n < BURST; n++) one()
  })
  const alone = database.transaction(one)
  const times = (count: number, act: () => void) =>
    Effect.sync(() => {
      for (let n = 0; n < count; n++) act()
    })
  return byTurns({ singles: times(singles, alone), bursts: times(bursts, burst) })
}

/** What the disk and SQLite give today: the same numbers of the plainest rows, a commit for each and a commit for a hundred. */
const plainRows = (amounts: Both<number>) =>
  Host.inDirectory(
    Effect.fnUntraced(function* (directory) {
      const database = new Database(path.join(directory, "control.db"))
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
      database.pragma("journal_mode = WAL")
      database.pragma("synchronous = FULL")
      database.exec("CREATE TABLE plain (id INTEGER PRIMARY KEY, content TEXT)")
      const insert = database.prepare("INSERT INTO plain (content) VALUES (?)")
      const content = "x".repeat(CONTROL_BYTES)
      return yield* bare(amounts, database, () => void insert.run(content))
    }),
  )

/** The rows that an accept writes, to the same tables of a real ledger, by two statements and nothing else. */
const sameRows = (amounts: Both<number>, sessions: number) =>
  Host.inDirectory(
    Effect.fnUntraced(function* (dataDir) {
      yield* Host.addSessions(sessions).pipe(
        Effect.andThen(Host.message(0, Date.now() + FAR_MS)),
        Effect.provide(Host.ledgerLayer(dataDir)),
      )
      const database = openLedgerFile({ path: Host.ledgerFile(dataDir), mode: "read-write" })
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
        const session = Host.sessionId(next % sessions)
        insert.run(
          values
            .with(at("id"), `c${next}`)
            .with(at("session_id"), session)
            .with(at("seq"), next * 2),
        )
        update.run(session)
        next += 1
      })
    }),
  )

/** Sessions take turns. Each message is due in the far future, so that nothing wakes. */
const accepting = <E, E2>(
  { bursts, singles }: Both<number>,
  sessions: number,
  accept: (session: number, dueAt: number) => Effect.Effect<unknown, E, Host.HostServices>,
  before: Effect.Effect<unknown, E2, Host.HostServices>,
) =>
  Host.onHost(
    Effect.fnUntraced(function* () {
      yield* Host.addSessions(sessions)
      yield* before
      const dueAt = Date.now() + FAR_MS
      let next = 0
      const one = Effect.suspend(() => accept(next++ % sessions, dueAt))
      const burst = Effect.forEach(upTo(BURST), () => one, { concurrency: BURST, discard: true })
      const times = (count: number, work: typeof one) =>
        Effect.forEach(upTo(count), () => work, { discard: true })
      return yield* byTurns({ singles: times(singles, one), bursts: times(bursts, burst) })
    }),
  )

/** The whole way of a `send`: content checked, command gate, ledger. */
const send = (session: number, dueAt: number) =>
  Operations.use((operations) =>
    operations.send({ sessionId: Host.sessionId(session), kind: "chat", content: { text: "hello" }, dueAt }),
  )

/** So many deliveries wait in the channel of every session: each accept has to find out that there is room. */
const crowd = LedgerDriver.use((driver) =>
  driver.transaction((tx) => {
    for (let n = 1; n < WAITING; n++) tx.putDelivery(Host.waiting(n))
    return Result.succeed(undefined)
  }),
)

/** What is asked of a way in, as shares of the bare statements. */
const ACCEPT = { singles: 0.75, bursts: 0.6 }
const SEND = { singles: 0.75, bursts: 0.45 }

export const acceptBench: Bench = {
  name: "accept",
  about: "accepts that are durable before they return (WAL, synchronous=FULL), median of five rounds",
  run: async (size) => {
    const amounts = size === "smoke" ? { singles: 50, bursts: 2 } : { singles: 500, bursts: 30 }
    const plain = await plainRows(amounts)
    const rowsOf = (what: string, ours: Both<number>, same: Both<number>, shares: Both<number>) =>
      (["singles", "bursts"] as const).map((way): Row => {
        const count = way === "singles" ? amounts.singles : amounts.bursts * BURST
        const percent = (of: Both<number>) => `${Math.round((of[way] / ours[way]) * 100)} %`
        return {
          what: `${what}, ${way === "singles" ? "one by one" : `bursts of ${BURST}`}`,
          ours: perSecond(count, ours[way]),
          beside: `same rows, bare ${perSecond(count, same[way])}; plain rows ${perSecond(count, plain[way])}`,
          ratio: `${percent(same)} and ${percent(plain)}`,
          target: [`≥ ${shares[way] * 100} % of the same rows`, same[way] / ours[way] >= shares[way]],
        }
      })
    const rows: Array<Row> = []
    for (const sessions of size === "smoke" ? [1, 10] : [1, 100, 1_000, 10_000]) {
      const taken = await accepting(amounts, sessions, Host.message, Effect.void)
      rows.push(...rowsOf(`${shown(sessions)} sessions`, taken, await sameRows(amounts, sessions), ACCEPT))
    }
    const same = await sameRows(amounts, 100)
    const sent = await accepting(amounts, 100, send, Effect.void)
    rows.push(...rowsOf("Operations.send", sent, same, SEND))
    if (size === "full") {
      const crowded = await accepting(amounts, 100, Host.message, crowd)
      rows.push(...rowsOf("10,000 deliveries waiting in its channel", crowded, same, ACCEPT))
    }
    return rows
  },
}
