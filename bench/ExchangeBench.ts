/** The exchange files: rows into inbound.db, ten acks out of outbound.db with little and much history, and a look where nothing changed. */
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as path from "node:path"
import { GroupId, SessionId } from "../src/domain/Ids.ts"
import * as SqliteMailbox from "../src/layers/sqlite/SqliteMailbox.ts"
import { Mailbox, type Pair, type Projection } from "../src/services/Mailbox.ts"
import type { Message } from "../src/domain/Message.ts"
import { dataDirectory } from "./Host.ts"
import { type Bench, median, ms, perSecond, type Row, target, timed } from "./Measure.ts"

const pairOf = (incarnation: number): Pair => ({
  groupId: GroupId.make("g1"),
  sessionId: SessionId.make("s1"),
  incarnation: incarnation as Pair["incarnation"],
})

const nothingCarried = { sessionState: [], outbound: [], createdAt: 0 }

const rows = (first: number, count: number): Projection => ({
  revision: first + count,
  messages: Array.from({ length: count }, (_, n) => ({
    status: "pending" as const,
    message: {
      id: `m${first + n}`,
      seq: (first + n) * 2,
      kind: "chat",
      dueAt: 1_000,
      acceptedAt: 1_000,
      tries: 0,
      trigger: true,
      onWake: false,
      content: `{"text":"hello"}`,
      channelType: null,
      platformId: null,
      threadId: null,
      seriesId: null,
      sourceSessionId: null,
    } as unknown as Message,
  })),
  delivered: [],
  series: null,
  destinations: null,
  routing: null,
})

const projectRows = (count: number, batch: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    return yield* Effect.gen(function* () {
      const mailbox = yield* Mailbox
      yield* mailbox.create(pairOf(1), nothingCarried)
      return yield* Effect.promise(() =>
        timed(async () => {
          for (let first = 1; first <= count; first += batch) {
            await Effect.runPromise(mailbox.project(pairOf(1), rows(first, batch)))
          }
        }),
      )
    }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
  }).pipe(Effect.scoped)

/** Ten acks ingested in a session that had `history` messages before: they are the ledger's, and this pair is fresh. */
const readAcks = (history: number, rounds: number) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    return yield* Effect.gen(function* () {
      const mailbox = yield* Mailbox
      const pair = pairOf(2)
      const seen = new Set(Array.from({ length: history }, (_, n) => `out-${n}`))
      yield* mailbox.create(pair, nothingCarried)
      const outbound = new Database(path.join(mailbox.paths(pair).outDir, "outbound.db"))
      const figures: Array<number> = []
      const glances: Array<number> = []
      for (let round = 0; round < rounds; round++) {
        const write = outbound.prepare(
          "INSERT OR REPLACE INTO processing_ack (message_id, status, status_changed) VALUES (?, 'completed', ?)",
        )
        for (let n = 0; n < 10; n++) write.run(`m${n}`, new Date(1_700_000_000_000 + round).toISOString())
        figures.push(
          yield* Effect.promise(() =>
            timed(() => Effect.runPromise(mailbox.read(pair, { seen, mode: "live" }))),
          ),
        )
        glances.push(
          yield* Effect.promise(() =>
            timed(async () => {
              for (let n = 0; n < 1_000; n++) Effect.runSync(mailbox.glance(pair))
            }),
          ),
        )
      }
      outbound.close()
      return { readMs: median(figures), glanceMs: median(glances) / 1_000 }
    }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
  }).pipe(Effect.scoped)

export const exchangeBench: Bench = {
  name: "exchange",
  about: "inbound.db written, outbound.db read",
  run: async (size) => {
    const [singles, batched, rounds] = size === "smoke" ? [50, 500, 5] : [1_000, 20_000, 50]
    const one = await Effect.runPromise(projectRows(singles, 1))
    const many = await Effect.runPromise(projectRows(batched, 100))
    const fresh = await Effect.runPromise(readAcks(0, rounds))
    const old = await Effect.runPromise(readAcks(10_000, rounds))
    return [
      {
        what: "into inbound.db, one by one",
        figure: perSecond(singles, one),
        target: target("≥ 1,000/s", (singles / one) * 1000 >= 1_000),
      },
      {
        what: "into inbound.db, batches of 100",
        figure: perSecond(batched, many),
        target: target("≥ 12,500/s", (batched / many) * 1000 >= 12_500),
      },
      { what: "ten acks read, no history", figure: ms(fresh.readMs) },
      {
        what: "ten acks read, 10,000 messages of history",
        figure: ms(old.readMs),
        beside: `${(old.readMs / fresh.readMs).toFixed(2)} times as long`,
        target: target("≤ 3 ms", old.readMs <= 3),
      },
      {
        what: "a look at a session where nothing changed",
        figure: ms(old.glanceMs),
        target: target("≤ 0.1 ms", old.glanceMs <= 0.1),
      },
    ] satisfies ReadonlyArray<Row>
  },
}
