import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Cause, Effect, Exit, Fiber, Result, Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { openLedgerFile } from "../../../src/layers/sqlite/LedgerFile.ts"
import { makeReads } from "../../../src/layers/sqlite/LedgerReads.ts"
import type { Prepare } from "../../../src/layers/sqlite/LedgerTables.ts"
import { migrate, SCHEMA_VERSION } from "../../../src/layers/sqlite/LedgerSchema.ts"
import * as tables from "../../../src/layers/sqlite/LedgerTables.ts"
import { makeWrites } from "../../../src/layers/sqlite/LedgerWrites.ts"
import * as SqliteLedger from "../../../src/layers/sqlite/SqliteLedger.ts"
import type { LedgerDriver, LedgerTx } from "../../../src/services/LedgerDriver.ts"
import { EVERY_WRITE, everyAnswer, seed } from "../../contract/LedgerDriver.contract.ts"
import { spawnChild } from "../../support/ChildLines.ts"
import { aDelivery, aMessage, aSession, sid } from "../../support/Rows.ts"

type Driver = LedgerDriver["Service"]
type Options = Partial<SqliteLedger.SqliteLedgerOptions>

const WRITER = path.join(import.meta.dirname, "../../support/children/LedgerWriter.ts")

const newFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "ledger-"))),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true })),
  ),
  (directory) => path.join(directory, "lamplighter.db"),
)

const open = (file: string, options: Options = {}) =>
  SqliteLedger.make({ path: file, mode: "read-write", commit: "group", ...options })

/** Opens, does, and closes again. */
const within = <A, E>(file: string, options: Options, use: (driver: Driver) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(open(file, options), use))

const put = (driver: Driver, f: (tx: LedgerTx) => void) =>
  driver.transaction((tx) => {
    f(tx)
    return Result.succeed(undefined)
  })

const count = (driver: Driver) => driver.read((reader) => reader.messages({}, { limit: 100_000 }).length)

const acceptMany = (driver: Driver, from: number, to: number, bytes = 10) =>
  Effect.forEach(
    Array.from({ length: to - from }, (_, index) => from + index),
    (n) =>
      Effect.exit(
        put(driver, (tx) => tx.putMessage(aMessage({ id: `m${n}`, seq: n, content: "x".repeat(bytes) }))),
      ),
    { concurrency: "unbounded" },
  )

describe("the ledger's file", () => {
  it.effect("is for its owner alone, side files included, also when it was open to others", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      fs.writeFileSync(file, "", { mode: 0o644 })
      yield* within(file, {}, (driver) =>
        Effect.gen(function* () {
          yield* put(driver, seed)
          for (const side of ["", "-wal", "-shm"]) {
            assert.strictEqual(fs.statSync(file + side).mode & 0o777, 0o600, side)
          }
        }),
      )
    }),
  )

  it.effect("holds everything after it is opened again", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const before = yield* within(file, {}, (driver) =>
        Effect.andThen(put(driver, seed), driver.read(everyAnswer)),
      )
      assert.deepStrictEqual(yield* within(file, {}, (driver) => driver.read(everyAnswer)), before)
    }),
  )

  it.effect("is write-ahead logged, synced at each commit, and of the version that this program writes", () =>
    Effect.gen(function* () {
      const database = openLedgerFile({ path: yield* newFile, mode: "read-write" })
      const pragma = (name: string) => database.pragma(name, { simple: true })
      assert.strictEqual(pragma("journal_mode"), "wal")
      assert.strictEqual(pragma("synchronous"), 2)
      assert.strictEqual(pragma("user_version"), SCHEMA_VERSION)
      assert.strictEqual(pragma("integrity_check"), "ok")
      database.close()
    }),
  )

  it.effect("of a newer version is refused and left as it is", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* within(file, {}, (driver) => put(driver, seed))
      const database = new Database(file)
      database.pragma(`user_version = ${SCHEMA_VERSION + 1}`)
      database.close()
      for (const mode of ["read-write", "read-only"] as const) {
        const refused = yield* Effect.flip(Effect.scoped(open(file, { mode })))
        assert.strictEqual(refused.reason, "Closed")
        assert.include(refused.message, `schema version ${SCHEMA_VERSION + 1}`)
        assert.include(refused.message, "newer program")
      }
      const after = new Database(file, { readonly: true })
      assert.strictEqual(after.pragma("user_version", { simple: true }), SCHEMA_VERSION + 1)
      after.close()
    }),
  )

  it.effect("that is another program's database, or no database, is refused and left as it is", () =>
    Effect.gen(function* () {
      const foreign = yield* newFile
      const database = new Database(foreign)
      database.exec("CREATE TABLE theirs (x)")
      database.close()
      const refused = yield* Effect.flip(Effect.scoped(open(foreign)))
      assert.strictEqual(refused.reason, "Corrupt")
      assert.include(refused.message, "no ledger")

      const text = yield* newFile
      fs.writeFileSync(text, "not a database, by any measure. ".repeat(100))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(open(text)))).reason, "Corrupt")
      assert.match(fs.readFileSync(text, "utf8"), /^not a database/)

      const nowhere = path.join(path.dirname(text), "missing", "l.db")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(open(nowhere)))).reason, "Io")
    }),
  )

  it.effect("of version 1 is migrated with all that it holds, and counts what waited before", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* within(file, {}, (driver) =>
        put(driver, (tx) => {
          for (const outboundId of ["a", "b"]) tx.putDelivery(aDelivery({ outboundId }))
          tx.putDelivery(aDelivery({ outboundId: "sent", status: "delivered" }))
        }),
      )
      const database = new Database(file)
      database.exec(`
        DROP TRIGGER deliveries_inserted;
        DROP TRIGGER deliveries_updated;
        DROP TRIGGER deliveries_deleted;
        DROP TABLE pending_deliveries;
        CREATE INDEX deliveries_in_channel ON deliveries (channel_type) WHERE status = 'pending';
        DROP INDEX sessions_expiring;
        DROP INDEX runs_of_series;
        ALTER TABLE series DROP COLUMN bounds;
        ALTER TABLE series DROP COLUMN policy;
        ALTER TABLE series DROP COLUMN fired;
        ALTER TABLE series DROP COLUMN failures_in_row;
        ALTER TABLE groups DROP COLUMN container;
        ALTER TABLE incarnations DROP COLUMN row_skew_ms;
        ALTER TABLE incarnations DROP COLUMN file_skew_ms;
        ALTER TABLE messages DROP COLUMN hops;
        ALTER TABLE deliveries DROP COLUMN answers;
        ALTER TABLE deliveries DROP COLUMN hops;
        ALTER TABLE deliveries DROP COLUMN first_attempt_at;
        ALTER TABLE deliveries DROP COLUMN refusal;
        ALTER TABLE deliveries DROP COLUMN detail;
        ALTER TABLE series DROP COLUMN grid;
        ALTER TABLE incarnations DROP COLUMN host_id;
        DROP INDEX series_by_task;
        ALTER TABLE series DROP COLUMN task_id;
        DROP INDEX deliveries_due;
        CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE status = 'pending' AND next_attempt_at >= 0;
        DROP INDEX deliveries_changed;
        CREATE INDEX deliveries_changed ON deliveries (session_id, revision) WHERE status <> 'pending' AND outbound_id >= '';
        PRAGMA user_version = 1;
      `)
      database.close()
      const refused = yield* Effect.flip(Effect.scoped(open(file, { mode: "read-only" })))
      assert.include(refused.message, "older than this program's")
      yield* within(file, {}, (driver) =>
        driver.read((reader) => {
          assert.strictEqual(reader.countPendingDeliveries("hook", 9), 2)
          assert.lengthOf(reader.deliveries({}, { limit: 9 }), 3)
        }),
      )
    }),
  )

  it("has the columns that the tables describe, and no others", () => {
    const database = new Database(":memory:")
    migrate(database)
    const described = [
      tables.groups,
      tables.sessions,
      tables.messages,
      tables.attempts,
      tables.incarnations,
      tables.deliveries,
      tables.series,
      tables.runs,
      tables.events,
    ]
    for (const table of described) {
      const columns = database.pragma(`table_info(${table.name})`) as Array<{ readonly name: string }>
      const kept = columns.map((column) => `"${column.name}"`).filter((name) => name !== '"position"')
      assert.sameMembers(
        kept,
        table.fields.map(tables.columnOf).filter((name) => name !== '"position"'),
        table.name,
      )
    }
    database.close()
  })
})

describe("the ledger, opened for reading only", () => {
  it.effect("answers while the daemon writes and after it has gone, and never writes", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const scope = yield* Scope.make()
      const daemon = yield* Scope.provide(open(file), scope)
      yield* put(daemon, (tx) => tx.putMessage(aMessage({ id: "one" })))
      yield* within(file, { mode: "read-only" }, (reader) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* count(reader), 1)
          yield* put(daemon, (tx) => tx.putMessage(aMessage({ id: "two" })))
          assert.strictEqual(yield* count(reader), 2)
          const refused = yield* Effect.flip(put(reader, () => assert.fail("it must not run")))
          assert.strictEqual(refused.reason, "ReadOnly")
          assert.include(refused.message, "the daemon owns it")
        }),
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* within(file, { mode: "read-only" }, count), 2)
    }),
  )

  it.effect("sees one moment in one read, whatever the daemon commits meanwhile", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const daemon = yield* open(file, { commit: "immediate" })
      const reader = yield* open(file, { mode: "read-only" })
      yield* put(daemon, (tx) => tx.putMeta("k", "before"))
      const seen = yield* reader.read((question) => {
        const first = question.meta("k")
        Effect.runSync(put(daemon, (tx) => tx.putMeta("k", "after")))
        return [first, question.meta("k")]
      })
      assert.deepStrictEqual(seen, ["before", "before"])
      assert.strictEqual(yield* reader.read((question) => question.meta("k")), "after")
    }),
  )

  it.effect("is refused where there is none, and makes none", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const refused = yield* Effect.flip(Effect.scoped(open(file, { mode: "read-only" })))
      assert.strictEqual(refused.reason, "Io")
      assert.include(refused.message, "start the daemon once")
      assert.isFalse(fs.existsSync(file))
    }),
  )
})

describe("a group of transactions", () => {
  it.effect("shares a commit, and answers nobody before it", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const driver = yield* open(file, { maxTurnMs: 60_000 })
      const outside = yield* open(file, { mode: "read-only" })
      const visible: Array<number> = []
      const one = (n: number) =>
        Effect.tap(
          driver.transaction((tx) => {
            // Another connection sees what is committed: nothing of this group while it runs.
            visible.push(Effect.runSync(count(outside)))
            tx.putMessage(aMessage({ id: `m${n}` }))
            return Result.succeed(n)
          }),
          () => Effect.map(count(outside), (seen) => assert.strictEqual(seen, 4)),
        )
      yield* Effect.forEach([1, 2, 3, 4], one, { concurrency: "unbounded" })
      assert.deepStrictEqual(visible, [0, 0, 0, 0])
    }),
  )

  it.effect(
    "is cut when its turn has taken long enough: the others come in their order, in later turns",
    () =>
      Effect.gen(function* () {
        const file = yield* newFile
        const driver = yield* open(file, { maxTurnMs: 0 })
        const outside = yield* open(file, { mode: "read-only" })
        const visible: Array<number> = []
        const one = (n: number) =>
          put(driver, (tx) => {
            visible.push(Effect.runSync(count(outside)))
            tx.putMessage(aMessage({ id: `m${n}` }))
          })
        yield* Effect.forEach([1, 2, 3, 4], one, { concurrency: "unbounded" })
        assert.deepStrictEqual(visible, [0, 1, 2, 3])
      }),
  )

  it.effect("leaves out one that was interrupted before its turn", () =>
    Effect.gen(function* () {
      const driver = yield* open(yield* newFile)
      let ran = false
      const fiber = yield* Effect.forkChild(
        put(driver, () => {
          ran = true
        }),
        { startImmediately: true },
      )
      yield* Fiber.interrupt(fiber)
      yield* put(driver, (tx) => tx.putMeta("k", "v"))
      assert.isFalse(ran)
    }),
  )

  it.effect("is refused once the ledger is closed, those that waited included", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const driver = yield* Scope.provide(open(yield* newFile), scope)
      const waiting = yield* Effect.forkChild(
        Effect.flip(put(driver, () => assert.fail("it must not run"))),
        {
          startImmediately: true,
        },
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).reason, "Closed")
      assert.strictEqual((yield* Effect.flip(put(driver, seed))).reason, "Closed")
      assert.strictEqual((yield* Effect.flip(count(driver))).reason, "Closed")
    }),
  )
})

describe("a disk that is full", () => {
  const cases = [
    ["one by one", "immediate"],
    ["in groups", "group"],
  ] as const
  for (const [how, commit] of cases) {
    it.effect(
      `fails what does not fit, ${how}, keeps what was accepted, and goes on when there is room`,
      () =>
        Effect.gen(function* () {
          const file = yield* newFile
          const driver = yield* open(file, { commit, maxPages: 200 })
          const accepted = new Set<string>()
          let refused = 0
          for (let batch = 0; refused === 0; batch++) {
            const exits = yield* acceptMany(driver, batch * 10, batch * 10 + 10, 3_000)
            for (const [index, exit] of exits.entries()) {
              if (Exit.isSuccess(exit)) {
                accepted.add(`m${batch * 10 + index}`)
                continue
              }
              refused += 1
              const error = Cause.squash(exit.cause)
              assert.propertyVal(error, "reason", "Full")
              assert.match(String((error as Error).message), /free some space/)
            }
          }
          const kept = yield* driver.read((reader) => reader.messages({}, { limit: 10_000 }))
          assert.deepStrictEqual(new Set<string>(kept.map((message) => message.id)), accepted)
          yield* put(driver, (tx) => {
            for (const message of kept) {
              tx.putMessage(aMessage({ ...message, state: "completed", endedAt: 1, content: "" }))
            }
            tx.deleteHistory(2, 10_000)
          })
          const [again] = yield* acceptMany(driver, 0, 1, 3_000)
          assert.isTrue(again !== undefined && Exit.isSuccess(again))
        }),
    )
  }
})

describe("a process", () => {
  it.live("that is killed while it accepts has lost nothing that it acknowledged", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const writer = yield* spawnChild([process.execPath, WRITER, file])
      yield* writer.line(/^accepted 50$/)
      writer.child.kill("SIGKILL")
      yield* writer.ended
      const acknowledged = writer.lines.length
      assert.isAtLeast(acknowledged, 50)
      const kept = yield* within(file, {}, count)
      assert.isAtLeast(kept, acknowledged)
      assert.isAtMost(kept, acknowledged + 1)
    }),
  )

  it.live(
    "whose commit fails with an I/O error writes no more, still reads, and has lost nothing acknowledged",
    () =>
      Effect.gen(function* () {
        const file = yield* newFile
        // A write beyond the limit fails with EFBIG, which SQLite reports as an I/O error, in the middle of a commit.
        const limited = `trap '' XFSZ; ulimit -f 600; exec "$0" "$@"`
        const writer = yield* spawnChild(["bash", "-c", limited, process.execPath, WRITER, file])
        yield* writer.line(/^reads/)
        assert.include(writer.lines, "failed Uncertain")
        assert.include(writer.lines, "then Closed")
        assert.include(writer.lines, "reads true")
        yield* writer.ended
        const acknowledged = writer.lines.filter((line) => line.startsWith("accepted")).length
        assert.isAtLeast(acknowledged, 1)
        const kept = yield* within(file, {}, count)
        assert.isAtLeast(kept, acknowledged)
        assert.isAtMost(kept, acknowledged + 1)
      }),
  )
})

describe("a backup", () => {
  it.effect("is a whole ledger of one moment, made while others write", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const driver = yield* open(file)
      const target = `${file}.backup`
      // Each transaction keeps the count in the session equal to the number of messages.
      const accept = (n: number) =>
        put(driver, (tx) => {
          const session = tx.session(sid("s1")) ?? aSession()
          tx.putMessage(aMessage({ id: `m${n}`, seq: n, content: "x".repeat(1_000) }))
          tx.putSession({ ...session, queued: session.queued + 1 })
        })
      for (let n = 0; n < 600; n++) yield* accept(n)
      const backup = yield* Effect.forkChild(driver.backup(target), { startImmediately: true })
      for (let n = 600; n < 700; n++) yield* accept(n)
      yield* Fiber.join(backup)
      assert.strictEqual(fs.statSync(target).mode & 0o777, 0o600)
      yield* within(target, {}, (copy) =>
        Effect.gen(function* () {
          const kept = yield* count(copy)
          assert.isAtLeast(kept, 600)
          assert.strictEqual((yield* copy.read((reader) => reader.session(sid("s1"))))?.queued, kept)
          yield* put(copy, (tx) => tx.putMeta("k", "v"))
        }),
      )
      assert.strictEqual(yield* count(driver), 700)
      assert.isUndefined(yield* driver.read((reader) => reader.meta("k")))
      assert.deepStrictEqual(
        fs.readdirSync(path.dirname(file)).filter((name) => name.includes("partial")),
        [],
      )
    }),
  )

  it.effect("never overwrites", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const driver = yield* open(file)
      const target = `${file}.backup`
      fs.writeFileSync(target, "precious")
      const refused = yield* Effect.flip(driver.backup(target))
      assert.strictEqual(refused.reason, "Io")
      assert.include(refused.message, "never overwrites")
      assert.strictEqual(fs.readFileSync(target, "utf8"), "precious")
    }),
  )

  it.effect("that fails leaves nothing behind, and says why", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const driver = yield* open(file)
      const target = path.join(path.dirname(file), "missing", "backup.db")
      const refused = yield* Effect.flip(driver.backup(target))
      assert.strictEqual(refused.reason, "Io")
      assert.include(refused.message, target)
    }),
  )

  it.effect("can be made by a reader beside the daemon, and of a ledger in memory", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const daemon = yield* open(file)
      yield* put(daemon, seed)
      const expected = yield* daemon.read(everyAnswer)
      const reader = yield* open(file, { mode: "read-only" })
      yield* reader.backup(`${file}.1`)
      assert.deepStrictEqual(yield* within(`${file}.1`, {}, (copy) => copy.read(everyAnswer)), expected)

      const memory = yield* open(":memory:", { commit: "immediate" })
      yield* put(memory, seed)
      yield* memory.backup(`${file}.2`)
      assert.deepStrictEqual(yield* within(`${file}.2`, {}, (copy) => copy.read(everyAnswer)), expected)
    }),
  )
})

describe("a question", () => {
  /** Everything that the ledger ever asks SQLite, with its plan. */
  const plans = () => {
    const database = new Database(":memory:")
    migrate(database)
    const statements = new Map<string, ReturnType<Prepare>>()
    const prepare: Prepare = (sql) => {
      const statement = statements.get(sql) ?? database.prepare<Array<unknown>>(sql)
      statements.set(sql, statement)
      return statement
    }
    const reads = makeReads(prepare)
    const writes = makeWrites(prepare, reads).tx
    seed(writes)
    for (const [, write] of EVERY_WRITE) write(writes)
    everyAnswer(reads)
    const page = { limit: 5 }
    reads.sessions({ groupId: aSession().groupId }, page)
    reads.messages({ sessionId: sid("s1"), states: ["failed"], seriesId: undefined }, page)
    return [...statements.keys()].map((sql) => {
      const steps = database
        .prepare<Array<unknown>, { readonly detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...Array.from({ length: sql.split("?").length - 1 }, () => null))
      return { sql, plan: steps.map(({ detail }) => detail) }
    })
  }

  /** They hold live incarnations only, or what the question itself lists. */
  const FEW = /^SCAN (incarnations USING INDEX incarnations_live|json_each )/
  /** The page of groups is all of them, and a limited subquery is bounded by its limit. */
  const WHOLE = /^SCAN (groups$|\(subquery)/

  /** The pending messages of one session, listed by position: few, and in an index of another order. */
  const PENDING = /^SELECT position FROM messages INDEXED BY messages_pending /

  it("is answered from an index, never by walking a table, and never sorted afterwards", () => {
    const all = plans()
    assert.isAbove(all.length, 60)
    for (const { sql, plan } of all) {
      for (const step of plan) {
        if (FEW.test(step) || WHOLE.test(step)) continue
        assert.notMatch(step, /\bSCAN\b/, sql)
        if (!PENDING.test(sql)) assert.notMatch(step, /TEMP B-TREE/, sql)
      }
    }
  })

  it("about what is next uses the index made for it", () => {
    const all = plans()
    const wanted = [
      "sessions_to_wake",
      "sessions_next_wake",
      "messages_pending",
      "messages_context",
      "messages_admitted",
      "messages_changed",
      "messages_expiring",
      "messages_occurring",
      "attempts_open",
      "attempts_open_by_session",
      "incarnations_live",
      "deliveries_due",
      "deliveries_in_lane",
      "deliveries_changed",
      "deliveries_by_seq",
      "series_due",
    ]
    for (const index of wanted) {
      const used = all.some(({ plan }) =>
        plan.some((step) => step.endsWith(index) || step.includes(`${index} (`)),
      )
      assert.isTrue(used, index)
    }
  })
})
