import Database from "better-sqlite3"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as MemoryMailbox from "../../src/layers/memory/MemoryMailbox.ts"
import { ContainerSide } from "../../src/layers/memory/MemoryMailbox.ts"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import { OutboundId } from "../../src/domain/Ids.ts"
import { Mailbox, type Pair } from "../../src/services/Mailbox.ts"
import { type ContainerHand, mailboxContract } from "./Mailbox.contract.ts"

const inMemory: Effect.Effect<ContainerHand, never, ContainerSide | Mailbox> = Effect.gen(function* () {
  const side = yield* ContainerSide
  const mailbox = yield* Mailbox
  return {
    ack: (pair, id, status, at = 0) => side.ack(pair, id, status, {}, at),
    unack: side.unack,
    write: (pair, id, text) =>
      side.write(pair, { id: OutboundId.make(id), content: JSON.stringify({ text }) }, 0),
    setTool: (pair, tool, declaredTimeoutMs) =>
      side.setTool(pair, { tool, declaredTimeoutMs, startedAt: null }),
    setState: side.setState,
    beat: side.beat,
    inbound: (pair) =>
      Effect.map(side.inbound(pair), (rows) => rows.map(({ id, status }) => [id, status] as const)),
    takeable: (pair) =>
      Effect.map(side.inbound(pair), (rows) =>
        rows.filter(({ preview, processAfter }) => !preview && processAfter === null).map(({ id }) => id),
      ),
    carried: (pair) =>
      Effect.orDie(
        Effect.map(mailbox.read(pair, { seen: new Set(), mode: "live" }), (reading) => ({
          state: reading.sessionState.map(({ key, value }) => `${key}=${value}`),
          rows: reading.outbound.map(({ id, seq }) => `${id}/${seq}`),
        })),
      ),
  }
})

/** As a container's runner does it: its own connection, opened and closed for each write. */
const onDisk: Effect.Effect<ContainerHand, never, Mailbox> = Effect.map(Mailbox, (mailbox) => {
  const using = <A>(file: string, use: (database: Database.Database) => A): Effect.Effect<A> =>
    Effect.sync(() => {
      const database = new Database(file)
      try {
        return use(database)
      } finally {
        database.close()
      }
    })
  const outbound = (pair: Pair) => path.join(mailbox.paths(pair).outDir, "outbound.db")
  const inbound = (pair: Pair) => path.join(mailbox.paths(pair).inDir, "inbound.db")
  const run = (pair: Pair, sql: string, ...values: ReadonlyArray<unknown>) =>
    Effect.asVoid(using(outbound(pair), (database) => database.prepare(sql).run(...values)))
  return {
    ack: (pair, id, status, at = 0) =>
      run(
        pair,
        "INSERT OR REPLACE INTO processing_ack (message_id, status, status_changed) VALUES (?, ?, ?)",
        id,
        status,
        new Date(at).toISOString(),
      ),
    unack: (pair, id) => run(pair, "DELETE FROM processing_ack WHERE message_id = ?", id),
    write: (pair, id, text) =>
      run(
        pair,
        "INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES (?, (SELECT coalesce(max(seq), -1) + 2 FROM messages_out), ?, 'chat', ?)",
        id,
        new Date(0).toISOString(),
        JSON.stringify({ text }),
      ),
    setTool: (pair, tool, declaredTimeoutMs) =>
      run(
        pair,
        "INSERT OR REPLACE INTO container_state (id, current_tool, tool_declared_timeout_ms, updated_at) VALUES (1, ?, ?, ?)",
        tool,
        declaredTimeoutMs,
        new Date(0).toISOString(),
      ),
    setState: (pair, key, value) =>
      run(
        pair,
        "INSERT OR REPLACE INTO session_state (key, value, updated_at) VALUES (?, ?, ?)",
        key,
        value,
        new Date(0).toISOString(),
      ),
    beat: (pair, at) =>
      Effect.sync(() => {
        const file = path.join(mailbox.paths(pair).outDir, ".heartbeat")
        fs.writeFileSync(file, "")
        fs.utimesSync(file, new Date(at), new Date(at))
      }),
    inbound: (pair) =>
      using(inbound(pair), (database) =>
        database
          .prepare<[], { id: string; status: string }>("SELECT id, status FROM messages_in ORDER BY seq")
          .all()
          .map(({ id, status }) => [id, status] as const),
      ),
    takeable: (pair) =>
      using(inbound(pair), (database) =>
        database
          .prepare<[], { id: string }>("SELECT id FROM messages_in WHERE process_after IS NULL ORDER BY seq")
          .all()
          .map(({ id }) => id),
      ),
    carried: (pair) =>
      using(outbound(pair), (database) => ({
        state: database
          .prepare<[], { key: string; value: string }>("SELECT key, value FROM session_state")
          .all()
          .map(({ key, value }) => `${key}=${value}`),
        rows: database
          .prepare<[], { id: string; seq: number }>("SELECT id, seq FROM messages_out")
          .all()
          .map(({ id, seq }) => `${id}/${seq}`),
      })),
  }
})

const onTemporaryDisk = Layer.unwrap(
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-mailbox-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
    ),
    (dataDir) => SqliteMailbox.layer({ dataDir, patienceMs: 30_000 }),
  ),
)

mailboxContract("in memory", MemoryMailbox.layer, inMemory)
mailboxContract("on SQLite files", onTemporaryDisk, onDisk)
